"""The folder for sockets: ours alone, and nobody may put another in its place."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from downtimer import config
from downtimer.config import Config
from downtimer.errors import ConfigError
from downtimer.supervisor.lock import make_runtime_dir

STRANGER = 54321
"""Number of a user and of a group that we are not."""


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Have the umask of a daemon."""
    old = os.umask(0o077)
    yield
    os.umask(old)


def configured(path: Path, group: int | None = None) -> Config:
    """Return a configuration with that folder."""
    control_group = f"control_group={group}\n" if group is not None else ""
    text = f"[global]\nruntime_dir={path}\n{control_group}[static]\nips=127.0.0.1\n"
    return config.parse(text, "/etc/conf.ini")


def refusal(path: Path, group: int | None = None) -> str:
    """Return why a folder can't be had."""
    with pytest.raises(ConfigError) as caught:
        make_runtime_dir(configured(path, group))
    return str(caught.value)


def permissions(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_made_with_its_parents_and_for_the_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"
    make_runtime_dir(configured(path))
    assert permissions(path) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o710, 0o500, 0])
def test_a_folder_of_ours_that_is_open_or_shut_gets_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "run"
    path.mkdir()
    path.chmod(mode)
    make_runtime_dir(configured(path))
    assert permissions(path) == 0o700


def test_the_group_may_pass_through_but_not_look_around(tmp_path: Path) -> None:
    path = tmp_path / "run"
    make_runtime_dir(configured(path, os.getegid()))
    assert (permissions(path), path.stat().st_gid) == (0o710, os.getegid())
    make_runtime_dir(configured(path))
    assert permissions(path) == 0o700


def test_a_group_that_the_folder_may_not_be_given_to_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # root may do anything

    if os.geteuid() == 0:
        monkeypatch.setattr(os, "chown", refuse)
    path = tmp_path / "run"
    assert refusal(path, STRANGER) == (
        f"/etc/conf.ini: [global] control_group: cannot give {path} to group {STRANGER}: "
        "Operation not permitted; the daemon's user has to be a member"
    )
    assert permissions(path) == 0o700


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    path, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(elsewhere)
    if kind == "link":
        elsewhere.mkdir()
        elsewhere.chmod(0o755)
    assert refusal(path) == f"/etc/conf.ini: [global] runtime_dir: {path} is a link or no folder; remove it"
    if kind == "link":
        assert permissions(elsewhere) == 0o755


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "run"
    assert refusal(path) == f"/etc/conf.ini: [global] runtime_dir: cannot make {path}: Not a directory"


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, path = tmp_path / "shared", tmp_path / "shared" / "run"
    path.mkdir(parents=True)
    shared.chmod(0o1777)
    if os.geteuid() == 0:
        os.chown(path, STRANGER, -1)
    else:  # whose all of this is then
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert re.search(r"runtime_dir: \S+ belongs to user \d+; choose another", refusal(path))


def test_a_folder_in_one_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    if os.geteuid() == 0:
        os.chown(theirs, STRANGER, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert re.search(r"runtime_dir: \S+ belongs to user \d+; choose another folder", refusal(theirs / "run"))


def test_a_folder_in_one_in_which_everybody_may_write_is_refused_unless_it_is_like_tmp(
    tmp_path: Path,
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    path = shared / "deep" / "run"
    assert refusal(path) == (
        f"/etc/conf.ini: [global] runtime_dir: others may write in {shared}; choose another folder"
    )
    (tmp_path / "link").symlink_to("shared")
    assert f"others may write in {shared}" in refusal(tmp_path / "link" / "deep" / "run")
    shared.chmod(0o1777)
    make_runtime_dir(configured(path))
    make_runtime_dir(configured(tmp_path / "link" / "deep" / "run"))


def test_a_folder_in_one_in_which_only_our_own_group_may_write_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o770)
    make_runtime_dir(configured(shared / "run"))
    if os.geteuid() == 0:
        os.chown(shared, -1, STRANGER)
    else:
        monkeypatch.setattr(os, "getegid", lambda: STRANGER)
    assert f"others may write in {shared}" in refusal(shared / "run")
