"""Which cloud counts, as whom we sign in, and the one line for everything that can't be used."""

import os
import sys
from pathlib import Path

import pytest
from openstack.config import loader

from downtimer import accounts, clouds, config
from downtimer.account import Account, Method, Party, Source, Trust
from downtimer.errors import ConfigError, ExitCode

PLAIN = "[global]\nkeystone_endpoint = http://plain:5000\npassword = p\n"
STATIC = "[static]\nips = 10.0.0.1\n"
CLOUDS = """
clouds:
  night:
    auth:
      auth_url: https://cloud:5000/v3
      username: percy
      password: 12345
      project_name: shop
      user_domain_name: People
      project_domain_id: things
    region_name: North
    interface: internalURL
    cacert: ca.pem
  credential:
    auth_type: v3applicationcredential
    auth: {auth_url: http://cloud:5000, application_credential_id: abc, application_credential_secret: s}
    regions: [North, South]
    verify: false
  named:
    auth_type: v3applicationcredential
    auth:
      auth_url: http://cloud:5000
      application_credential_name: mine
      application_credential_secret: s
      user_id: u1
  token:
    auth_type: v3token
    auth: {auth_url: http://cloud:5000, token: t0, project_id: p1}
    cert: mine.pem
    key: mine.key
  bare:
    auth: {auth_url: http://cloud:5000, username: percy, project_name: shop}
"""


@pytest.fixture(autouse=True)
def _no_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an environment that names no cloud, and a folder in which there is none."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for files in ("CONFIG_FILES", "SECURE_FILES", "VENDOR_FILES"):
        monkeypatch.setattr(loader, files, [])
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(tmp_path / "secure.yaml"))
    (tmp_path / "clouds.yaml").write_text(CLOUDS)


def found(text: str = STATIC, asked: str | None = None) -> Account | None:
    """Return the account that counts with this configuration."""
    return accounts.resolve(config.parse(text, "/c/conf.ini"), asked).account


def resolved(text: str = STATIC, asked: str | None = None) -> Account:
    """Return the same, which must be there."""
    account = found(text, asked)
    assert account is not None
    return account


def problem(text: str = STATIC, asked: str | None = None) -> str:
    """Return why there is none."""
    with pytest.raises(ConfigError) as caught:
        found(text, asked)
    assert caught.value.exit_code == ExitCode.USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)


def set_env(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Set variables that begin with OS_."""
    for name, value in variables.items():
        monkeypatch.setenv(f"OS_{name}", value)


def test_plain_section_is_an_account() -> None:
    account = resolved(PLAIN + "user = me\nproject_name = mine\nuser_domain_name = heat\nregion = North\n")
    assert (account.url, account.method, account.secret) == ("http://plain:5000", Method.PASSWORD, "p")
    assert account.user == Party(name="me", domain_name="heat")
    assert account.project == Party(name="mine", domain_id="default")
    assert (account.region, account.interface, account.trust) == ("North", "public", Trust())


def test_application_credential_and_token_of_the_plain_section() -> None:
    start = "[global]\nkeystone_endpoint = http://h\n"
    by_id = resolved(start + "application_credential_id = abc\napplication_credential_secret = s\n")
    assert (by_id.method, by_id.secret, by_id.credential_id) == (Method.APPLICATION_CREDENTIAL, "s", "abc")
    assert (by_id.user, by_id.project) == (None, None)
    by_name = resolved(start + "application_credential_name = mine\napplication_credential_secret = s\n")
    assert (by_name.credential_name, by_name.user) == ("mine", Party(name="admin", domain_id="default"))
    token = resolved(start + "token = abc\n")
    assert (token.method, token.secret, token.user, token.project) == (Method.TOKEN, "abc", None, None)


def test_what_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found() is None
    set_env(monkeypatch, AUTH_URL="http://env:5000", USERNAME="me", PASSWORD="p", PROJECT_NAME="mine")
    assert resolved().url == "http://env:5000"
    assert found(STATIC + "[global]\ncloud = none\n") is None
    monkeypatch.setenv("OS_CLOUD", "night")
    assert resolved().url == "https://cloud:5000/v3"
    assert resolved("[global]\ncloud = credential\n").credential_id == "abc"
    assert resolved(PLAIN).url == "http://plain:5000"
    assert resolved(PLAIN, "token").secret == "t0"
    assert resolved("[global]\ncloud = credential\n", "token").secret == "t0"


def test_password_of_a_cloud_by_its_entry(tmp_path: Path) -> None:
    account = resolved(asked="night")
    assert (account.method, account.secret) == (Method.PASSWORD, "12345")
    assert account.user == Party(name="percy", domain_name="People")
    assert account.project == Party(name="shop", domain_id="things")
    assert (account.region, account.interface) == ("North", "internal")
    assert account.trust == Trust(cacert=str(tmp_path / "ca.pem"))
    assert account.origin.place_of("username", "cacert") == (
        f"auth.username, cacert of cloud 'night' in {tmp_path}/clouds.yaml"
    )


def test_application_credential_of_a_cloud_with_several_regions() -> None:
    account = resolved(asked="credential")
    assert (account.method, account.credential_id, account.secret) == (
        Method.APPLICATION_CREDENTIAL,
        "abc",
        "s",
    )
    assert (account.region, account.trust.insecure) == (None, True)
    assert resolved(asked="named").user == Party(id="u1")


def test_token_of_a_cloud(tmp_path: Path) -> None:
    account = resolved(asked="token")
    assert (account.method, account.secret, account.project) == (Method.TOKEN, "t0", Party(id="p1"))
    assert account.trust == Trust(cert=str(tmp_path / "mine.pem"), key=str(tmp_path / "mine.key"))


def test_secret_of_a_cloud_from_the_file_beside_it_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_PASSWORD", "of the environment")
    assert resolved(asked="bare").secret == "of the environment"
    (tmp_path / "secure.yaml").write_text("clouds: {bare: {auth: {password: of the file}}}\n")
    assert resolved(asked="bare").secret == "of the file"
    assert resolved(asked="bare").user == Party(name="percy", domain_id="default")


def test_what_the_file_says_beside_an_entry_wins(tmp_path: Path) -> None:
    beside = f"region = South\ninterface = admin\ncacert = {tmp_path}/other.pem\ncert = {tmp_path}/c.pem\n"
    account = resolved(f"[global]\ncloud = night\n{beside}")
    assert (account.region, account.interface) == ("South", "admin")
    assert account.trust == Trust(cacert=str(tmp_path / "other.pem"), cert=str(tmp_path / "c.pem"))
    assert resolved("[global]\ncloud = credential\ninsecure = no\n").trust.insecure is False
    of_another_cloud = resolved(f"{PLAIN}{beside}", "night")  # it is the plain account's
    assert (of_another_cloud.region, of_another_cloud.interface) == ("North", "internal")


@pytest.mark.parametrize(
    ("variables", "method", "secret"),
    [
        ({"USERNAME": "me", "PASSWORD": "p"}, Method.PASSWORD, "p"),
        ({"AUTH_TYPE": "v3password", "USERNAME": "me", "PASSWORD": "p"}, Method.PASSWORD, "p"),
        (
            {"APPLICATION_CREDENTIAL_ID": "abc", "APPLICATION_CREDENTIAL_SECRET": "s"},
            Method.APPLICATION_CREDENTIAL,
            "s",
        ),
        (
            {
                "AUTH_TYPE": "v3applicationcredential",
                "APPLICATION_CREDENTIAL_ID": "abc",
                "APPLICATION_CREDENTIAL_SECRET": "s",
            },
            Method.APPLICATION_CREDENTIAL,
            "s",
        ),
        ({"TOKEN": "t"}, Method.TOKEN, "t"),
        ({"AUTH_TYPE": "v3token", "TOKEN": "t"}, Method.TOKEN, "t"),
    ],
)
def test_every_way_to_sign_in_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], method: Method, secret: str
) -> None:
    set_env(monkeypatch, AUTH_URL="http://env:5000", PROJECT_NAME="mine", **variables)
    account = resolved()
    assert (account.method, account.secret) == (method, secret)
    assert account.origin.source is Source.ENVIRONMENT


def test_all_that_the_environment_may_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, AUTH_URL="http://env:5000", USER_ID="u", PASSWORD="p", TENANT_NAME="old")
    set_env(monkeypatch, PROJECT_DOMAIN_NAME="Things", REGION_NAME="North", INTERFACE="internal")
    set_env(monkeypatch, CACERT="ca.pem", CERT="c.pem", KEY="k.pem")
    account = resolved()
    assert (account.user, account.project) == (Party(id="u"), Party(name="old", domain_name="Things"))
    assert (account.region, account.interface) == ("North", "internal")
    files = [str(tmp_path / name) for name in ("ca.pem", "c.pem", "k.pem")]
    assert account.trust == Trust(cacert=files[0], cert=files[1], key=files[2])
    monkeypatch.setenv("OS_INSECURE", "true")
    assert resolved().trust.insecure


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("", "--os-cloud: is empty"),
        ("nihgt", "--os-cloud: cloud 'nihgt': {}/clouds.yaml has no entry of that name; did you mean night?"),
        ("x", "has no entry of that name; there are night, credential, named, token, bare"),
        ("bare", "auth.password of cloud 'bare' in {}/clouds.yaml: missing"),
    ],
)
def test_cloud_that_cannot_be_had_is_one_line(tmp_path: Path, asked: str, line: str) -> None:
    assert line.format(tmp_path) in problem(asked=asked)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("{auth: {auth_url: 'http://h', username: u, password: p, domain_id: d}}", "auth.domain_id of cloud"),
        ("{auth: {auth_url: 'http://h', username: u, password: p, system_scope: all}}", "auth.system_scope"),
        (
            "{auth: {auth_url: 'http://h', username: u, password: p, trust_id: t}}",
            "what a user of a project has",
        ),
        ("{auth_type: v3oidcpassword, auth: {auth_url: 'http://h'}}", "'v3oidcpassword' is no way in which"),
        (
            "{auth_type: v3totp, auth: {auth_url: 'http://h'}}",
            "v3password, v3applicationcredential and v3token",
        ),
        ("{auth: {username: u, password: p, project_name: s}}", "auth.auth_url of cloud 'x' in"),
        (
            "{auth: {auth_url: 'ftp://h', username: u, password: p, project_name: s}}",
            "'ftp://h' is no http://",
        ),
        ("{auth: {auth_url: 'http://h', password: p, project_name: s}}", "auth.username of cloud 'x'"),
        (
            "{auth: {auth_url: 'http://h', username: [u], password: p, project_name: s}}",
            "username of cloud 'x'",
        ),
        ("{auth: {auth_url: 'http://h', token: a b}, auth_type: v3token}", "auth.token of cloud 'x'"),
        (
            (
                "{auth_type: v3applicationcredential, auth: {auth_url: 'http://h', "
                "application_credential_secret: s}}"
            ),
            "auth.application_credential_id of cloud 'x'",
        ),
        (
            "{auth: {auth_url: 'http://h', username: u, password: p}, interface: x}",
            "'x' is none",
        ),
        ("{auth: {auth_url: 'http://h', username: u, password: yes}}", "no text; put it in quotes"),
        ("{auth_type: [v3token], auth: {auth_url: 'http://h'}}", "['v3token'] is no way in which"),
        ("{auth: nonsense}", "cannot be used"),
        ("nonsense", "cannot be used"),
    ],
)
def test_entry_that_cannot_be_used_is_one_line(tmp_path: Path, entry: str, line: str) -> None:
    (tmp_path / "clouds.yaml").write_text(f"clouds:\n  x: {entry}\n")
    said = problem(asked="x")
    assert line in said
    assert f"{tmp_path}/clouds.yaml" in said


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "clouds.yaml"),
        ("- a\n", "clouds.yaml"),
        ("clouds: [x]\n", "clouds.yaml"),
    ],
)
def test_file_that_is_none_of_clouds_is_one_line(tmp_path: Path, content: str, line: str) -> None:
    (tmp_path / "clouds.yaml").write_text(content)
    assert line.format(tmp_path) in problem("[global]\ncloud = night\n")


@pytest.mark.parametrize("secret", ["*sesame", "!sesame x", "&sesame", "!x!sesame y", "{sesame", "'sesame"])
def test_secret_that_is_no_yaml_is_not_shown(tmp_path: Path, secret: str) -> None:
    entry = "{auth_url: 'http://h', username: u, project_name: s,\n    password: " + secret + "}"
    (tmp_path / "clouds.yaml").write_text(f"clouds:\n  x:\n    auth: {entry}\n")
    said = problem(asked="x")
    assert "sesame" not in said
    assert said.count(f"{tmp_path}/clouds.yaml") == 1
    assert "no YAML at line" in said or "auth.password of cloud 'x'" in said


def test_file_of_secrets_that_is_no_yaml_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "secure.yaml").write_text("clouds: {bare: {auth: {password: *sesame}}}\n")
    said = problem(asked="bare")
    assert f"{tmp_path}/secure.yaml: no YAML at line 1, column 34" in said
    assert "sesame" not in said


def test_without_any_file_it_is_said_where_it_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").unlink()
    said = problem("[global]\ncloud = night\n")
    assert said.startswith("/c/conf.ini: [global] cloud: cloud 'night': there is no clouds.yaml that can be")
    assert "OS_CLIENT_CONFIG_FILE" in said


def test_without_openstacksdk_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openstack.config", None)
    monkeypatch.setenv("OS_CLOUD", "night")
    assert problem() == (
        "OS_CLOUD: clouds.yaml is read by openstacksdk, which is not installed; "
        f"`{sys.executable} -m pip install openstacksdk` mends that"
    )


def test_file_without_a_password_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = PLAIN.replace("password = p\n", "")
    line = "/c/conf.ini: [global] password: missing; write it or password_file, or start with OS_PASSWORD"
    assert problem(bare) == line
    monkeypatch.setenv("OS_CLOUD", "night")
    assert problem(bare) == f"{line}; OS_CLOUD does not count beside keystone_endpoint"
    monkeypatch.setenv("OS_PASSWORD", os.fsdecode(b"\xff"))
    assert problem(bare) == "OS_PASSWORD: not UTF-8 text"
    monkeypatch.setenv("OS_PASSWORD", "p")
    assert resolved(bare).secret == "p"


def test_with_nothing_to_measure_it_is_said_what_to_do(tmp_path: Path) -> None:
    assert problem("") == (
        "/c/conf.ini: [global] keystone_endpoint: missing, and [static] names no targets either; copy "
        "etc/conf.ini.sample there, name another file by --config, or set OS_CLOUD and go without"
    )
    (tmp_path / "conf.ini").touch()
    with pytest.raises(ConfigError, match=r"either; write one of them, or set OS_CLOUD$"):
        accounts.resolve(config.load(str(tmp_path / "conf.ini")), None)


def test_no_secret_is_in_a_representation() -> None:
    assert "12345" not in repr(resolved(asked="night"))
    assert "12345" not in repr(clouds.of_clouds("night"))
