"""Secrets: where they may stand, who gets them, and that nothing shows them."""

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from downtimer import config, secrecy
from downtimer.account import Account, Method, Origin, Source
from downtimer.config import Config
from downtimer.errors import ConfigError, ExitCode
from downtimer.sections import FILE
from downtimer.supervisor.measurement import CHILDREN, SECRETS

CLOUD = "[global]\nkeystone_endpoint = http://h:5000\n"
PATH = "/etc/downtimer/conf.ini"
ODD = " %(x)s \"'\\ ;# ü€ "


def secret_options() -> Iterator[tuple[str, str]]:
    """Yield the section and the name of every option that is secret."""
    for name, section in config.SECTIONS.items():
        for field in dataclasses.fields(section):
            if config.option_of(field).is_secret:
                yield name, field.name


EVERY = list(secret_options())
ACCOUNT_SECRET = "Xyzzy-account"


def field_of(section: str) -> str:
    """Return the field of the configuration that holds a section."""
    return "global_" if section == "global" else section


def with_every_secret() -> Config:
    """Return a configuration in which every secret is its own name."""
    found = config.parse(CLOUD + "[db]\n", PATH)
    for section, option in EVERY:
        field = field_of(section)
        changed = replace(getattr(found, field), **{option: secret(section, option)})
        found = replace(found, **{field: changed})
    named = Account(
        url="http://h", method=Method.PASSWORD, secret=ACCOUNT_SECRET, origin=Origin(source=Source.FILE)
    )
    return replace(found, account=named)


def secret(section: str, option: str) -> str:
    """Return what that secret is."""
    return f"Xyzzy-{section}-{option}"


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    """Write a configuration."""
    path = folder / "conf.ini"
    path.write_text(text)
    path.chmod(mode)
    return path


def complete(path: Path) -> Config:
    """Read a configuration with its secrets."""
    return secrecy.complete(config.load(str(path)))


def problem(path: Path) -> str:
    """Return why that can't be done."""
    with pytest.raises(ConfigError) as caught:
        complete(path)
    assert caught.value.exit_code == ExitCode.USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_passwords_and_tokens_are_secret() -> None:
    assert {("global", "password"), ("global", "application_credential_secret"), ("db", "token")} <= set(
        EVERY
    )
    named = [
        (name, field.name)
        for name, section in config.SECTIONS.items()
        for field in dataclasses.fields(section)
        if any(word in field.name for word in ("password", "token", "secret"))
        and not field.name.endswith(FILE)
    ]
    assert sorted(named) == sorted(EVERY)


def test_no_secret_is_in_a_representation() -> None:
    found = with_every_secret()
    assert msgspec.msgpack.encode(found).count(b"Xyzzy") == len(EVERY) + 1
    assert "Xyzzy" not in repr(found)


@pytest.mark.parametrize(("section", "option"), EVERY)
def test_every_secret_may_stand_in_a_file_beside_the_configuration(
    tmp_path: Path, section: str, option: str
) -> None:
    value = "t0ken==" if option == "token" else ODD
    (tmp_path / "secret").write_text(f"{value}\nand more\n")
    line = f"{option}{FILE} = secret\n"
    text = CLOUD + ("password = x\n" if section != "global" else "") + f"[db]\n{line}"
    beside = "application_credential_id = x\n" if "credential" in option else ""
    path = write(tmp_path, CLOUD + beside + line if section == "global" else text)
    assert getattr(getattr(complete(path), field_of(section)), option) == value


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_end_of_its_line_is_not_part_of_a_secret(tmp_path: Path, end: str) -> None:
    (tmp_path / "secret").write_bytes(b"two words" + end.encode())
    path = write(tmp_path, CLOUD + "password_file = secret\n")
    assert complete(path).global_.password == "two words"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the first line of {} is empty"),
        (b"\nsecret\n", "the first line of {} is empty"),
        (b"\xff\xfe\n", "the first line of {} is not UTF-8 text"),
        (b"x" * 5000, "the first line of {} is longer than 4096 bytes"),
    ],
)
def test_file_without_a_secret_is_one_line(tmp_path: Path, content: bytes, what: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    path = write(tmp_path, CLOUD + "password = x\n[db]\npassword_file = secret\n")
    assert problem(path) == f"[db] password_file: {what.format(file)}"


def test_file_that_cannot_be_read_is_one_line_when_it_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path, CLOUD + "password_file = secret\n")
    file = tmp_path / "secret"
    assert problem(path) == f"[global] password_file: cannot read {file}: No such file or directory"
    file.mkdir()
    assert problem(path) == f"[global] password_file: cannot read {file}: Is a directory"
    assert config.load(str(path)).global_.password is None


def test_what_no_token_can_be_is_refused_without_being_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("Xyzzy 42\n")
    path = write(tmp_path, CLOUD + "password = x\n[db]\ntoken_file = secret\n")
    assert problem(path).startswith("[db] token_file: is no token")


def test_pipe_without_a_writer_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "secret").symlink_to("pipe")
    path = write(tmp_path, CLOUD + "password_file = secret\n")
    os.mkfifo(tmp_path / "pipe")
    assert problem(path) == f"[global] password_file: {tmp_path / 'secret'} is no regular file"


@pytest.mark.parametrize(
    ("text", "is_wanted"),
    [
        (CLOUD, True),
        (CLOUD + "password = x\n", False),
        (CLOUD + "password_file = x\n", False),
        (CLOUD + "token_file = x\n", False),
        (CLOUD + "application_credential_id = x\napplication_credential_secret_file = x\n", False),
        ("[static]\nips = 10.0.0.1\n", False),
        ("[global]\ncloud = x\n", False),
    ],
)
def test_a_password_is_wanted_where_the_file_gives_nothing_to_sign_in_with(
    text: str,
    is_wanted: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    assert secrecy.wants_password(config.parse(text, PATH)) == is_wanted


def test_commands_that_need_no_secret_do_without(tmp_path: Path) -> None:
    config.load(str(write(tmp_path, CLOUD)))


@pytest.mark.parametrize("child", CHILDREN)
def test_children_get_the_secrets_that_they_have_use_for(child: str) -> None:
    found = secrecy.without_secrets(with_every_secret(), but=SECRETS.get(child, ()))
    sent = msgspec.msgpack.encode(found).decode("latin-1")
    sections = {"writer": {"db"}}.get(child, set())
    signs_in = child in ("discovery", "api")
    assert (ACCOUNT_SECRET in sent) == signs_in
    for section, option in EVERY:
        assert (secret(section, option) in sent) == (section in sections)
    assert secrecy.has_secrets(found) == (signs_in or bool(sections))


def test_whatever_others_can_read_is_told_with_what_mends_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x\n")
    (tmp_path / "secret").chmod(0o604)
    text = CLOUD + "password = x\n[db]\npassword_file = secret\n"
    path = write(tmp_path, text, 0o644)
    wanted = [("[db] password_file", tmp_path / "secret"), ("[global] password", path)]
    assert list(secrecy.readable_by_others(config.load(str(path)))) == [
        f"{path}: {where}: every user can read or change {file}; `chmod o-rw {file}` mends that"
        for where, file in wanted
    ]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_what_a_group_can_read_is_told_of_nowhere(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, CLOUD + "password = x\n[db]\npassword = y\n", mode)
    assert not list(secrecy.readable_by_others(config.load(str(path))))


def test_configuration_without_a_secret_is_for_everybody(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x\n")
    (tmp_path / "secret").chmod(0o600)
    for line in ("", "password_file = secret\n"):
        path = write(tmp_path, CLOUD + line, 0o644)
        assert not list(secrecy.readable_by_others(config.load(str(path))))
