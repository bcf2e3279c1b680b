"""The configuration: what is accepted as it stands, and the one line for everything that is not."""

import dataclasses
import re
from pathlib import Path

import pytest

from downtimer import config
from downtimer.errors import ConfigError, ExitCode
from downtimer.sections import CheckSection

HOWTO = """[global]
keystone_endpoint=http://172.29.236.10:5000
user=admin
password=secret
report_file=/var/log/downtimer.report
[db]
host=monit-ent.vm.mirantis.net
port=8086
"""

PATH = "/etc/downtimer/conf.ini"


def parse(text: str, path: str = PATH) -> config.Config:
    """Parse a configuration as if it stood at `path`."""
    return config.parse(text, path)


def with_option(section: str, line: str) -> str:
    """Return a minimal configuration with one more option."""
    if section == "global":
        return HOWTO.replace("[db]", f"{line}\n[db]")
    return HOWTO.replace("[db]\n", f"[db]\n{line}\n") if section == "db" else f"{HOWTO}[{section}]\n{line}\n"


def test_the_file_of_the_howto_works_unchanged() -> None:
    loaded = parse(HOWTO)
    assert loaded.global_.keystone_endpoint == "http://172.29.236.10:5000"
    assert (loaded.global_.user, loaded.global_.password) == ("admin", "secret")
    assert loaded.global_.report_file == "/var/log/downtimer.report"
    assert loaded.db is not None
    assert (loaded.db.host, loaded.db.port, loaded.db.name) == (
        "monit-ent.vm.mirantis.net",
        8086,
        "downtimer",
    )


def test_everything_else_has_its_documented_default() -> None:
    loaded = parse(HOWTO)
    assert (loaded.global_.project_name, loaded.global_.region) == ("admin", None)
    assert (loaded.api.interval, loaded.api.timeout, loaded.api.budget) == (0.5, 2.0, 500)
    assert (loaded.icmp.interval, loaded.icmp.timeout, loaded.icmp.budget) == (0.2, 1.0, 20_000)
    assert loaded.vantage.reference == ("gateway",)
    assert loaded.global_.keep_runs == 50


def test_no_db_section_means_no_influxdb() -> None:
    assert parse(HOWTO.partition("[db]")[0]).db is None


def test_an_empty_db_section_means_influxdb_with_defaults() -> None:
    db = parse(HOWTO.partition("[db]")[0] + "[db]\n").db
    assert db is not None
    assert (db.host, db.port) == ("localhost", 8086)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("address_window = auto\n", None),
        ("address_window = none\n", 0),
        ("address_window = 30\n", 30),
    ],
)
def test_window_of_addresses_is_automatic_unless_configured(text: str, seconds: float | None) -> None:
    db = parse(HOWTO + text).db
    assert db is not None
    assert db.address_window == seconds


def test_a_percent_sign_is_a_percent_sign() -> None:
    assert parse(HOWTO.replace("secret", "50%off%(x)s%%")).global_.password == "50%off%(x)s%%"


def test_a_password_may_hold_comment_signs_and_equals_signs() -> None:
    assert parse(HOWTO.replace("secret", "a#b;c=d:e")).global_.password == "a#b;c=d:e"


def test_credentials_in_a_url_are_in_no_error() -> None:
    for address in ("http://me:Xyzzy42@h:5000", "http://me:Xyzzy#42@h:5000", "me:Xyzzy42@h:5000"):
        for text in (f"[global]\nkeystone_endpoint={address}\n", f"[static]\nurls = web={address}\n"):
            with pytest.raises(ConfigError, match="URL") as caught:
                parse(text)
            assert "Xyzzy" not in str(caught.value)


def test_relative_paths_start_at_the_configuration() -> None:
    loaded = parse(with_option("global", "state_dir = runs"), "/srv/night/conf.ini")
    assert loaded.global_.state_dir == "/srv/night/runs"


def test_static_targets_serve_without_any_keystone() -> None:
    loaded = parse("[static]\nips = 10.0.0.1, 10.0.1.0/30\nurls = web=http://10.0.0.1/ db=https://h:8443/x\n")
    assert loaded.static.ips == ("10.0.0.1/32", "10.0.1.0/30")
    assert loaded.static.urls == (("web", "http://10.0.0.1/"), ("db", "https://h:8443/x"))


def test_static_addresses_come_from_files_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(
        "10.0.0.1 10.0.0.2\n# all of the rack\n10.0.1.0/31  # and these\nfd00::1\n"
    )
    loaded = parse("[static]\nips = @list\n", str(tmp_path / "conf.ini"))
    assert loaded.static.ips == ("10.0.0.1/32", "10.0.0.2/32", "10.0.1.0/31", "fd00::1/128")


def test_static_blocks_that_overlap_count_once() -> None:
    assert parse("[static]\nips = 10.0.0.0/15 10.0.0.7\n").static.ips == ("10.0.0.0/15",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (with_option("global", "usr = x"), "[global] usr: unknown option; did you mean user?"),
        (HOWTO + "[check]\npath = /x\n", "[check]: unknown section;"),
        (HOWTO + "[check nova]\npaht = /x\n", "[check nova] paht: unknown option; did you mean path?"),
        (HOWTO + "[check nova]\npath = http://h/x\n", "[check nova] path: 'http://h/x' is no path of a URL"),
        (HOWTO + "[check nova]\npath = /a/../b\n", "[check nova] path: '/a/../b' has dots"),
        (HOWTO + "[check nova]\npath = \n", "[check nova] path: '' is no path of a URL"),
        (HOWTO + "[check nova]\n[check  nova]\nworks = no\n", "[check nova]: given twice"),
        (HOWTO + "[check nova]\nworks = often\n", "[check nova] works: 'often' is neither yes nor no"),
        (
            HOWTO + "[static]\nurls = web=http://h/\n[check web]\nworks = no\n",
            "[check web]: web is one of [static] urls",
        ),
        (HOWTO + "[keystone]\n", "[keystone]: unknown section; there are [global], [db]"),
        (
            with_option("api", "interval = fast"),
            "[api] interval: 'fast' is no number of seconds from 0.05 to 60",
        ),
        (with_option("api", "interval = nan"), "[api] interval: 'nan' is no number of seconds"),
        (with_option("icmp", "budget = 0"), "[icmp] budget: '0' is no whole number from 1 to"),
        (
            with_option("global", "interface = pubic"),
            "[global] interface: 'pubic' is none of public, internal, admin",
        ),
        (with_option("global", "insecure = maybe"), "[global] insecure: 'maybe' is neither yes nor no"),
        (
            HOWTO.replace("http://172", "172"),
            "[global] keystone_endpoint: '172.29.236.10:5000' is no http://",
        ),
        (HOWTO.replace("http://", "http://me:pw@"), "[global] keystone_endpoint: has credentials in the URL"),
        (HOWTO.replace("port=8086", "port=99999"), "[db] port: '99999' is no whole number from 1 to 65535"),
        (
            HOWTO + "address_window = 5\n",
            "[db] address_window: '5' is no number of seconds from 10 to 3600; wr",
        ),
        (
            with_option("global", "password_file = pw"),
            "[global] password_file: given beside password; remove one of them",
        ),
        (
            HOWTO + "password = x\npassword_file = pw\n",
            "[db] password_file: given beside password; remove one",
        ),
        (HOWTO.replace("password=secret", "password_file ="), "[global] password_file: is no path"),
        (HOWTO.replace("user=admin", "user="), "[global] user: is empty"),
        (with_option("global", "cloud = x"), "[global] keystone_endpoint: given beside cloud; remove one"),
        ("[global]\ncloud = none\ntoken_file = t\n", "[global] token_file: given beside cloud; remove one"),
        (with_option("global", "token = x"), "[global] token: given beside password; remove one of them"),
        (
            HOWTO.replace("password=secret", "token = x\napplication_credential_secret_file = f"),
            "[global] token: given beside application_credential_secret; remove one of them",
        ),
        (
            with_option("global", "application_credential_id = x"),
            "[global] application_credential_secret: missing beside application_credential_id; write it, or",
        ),
        (
            HOWTO.replace("password=secret", "application_credential_secret = x"),
            "[global] application_credential_id: missing beside application_credential_secret",
        ),
        (
            HOWTO.replace(
                "password=secret",
                "application_credential_secret = x\napplication_credential_id = x\n"
                "application_credential_name = x",
            ),
            "[global] application_credential_name: given beside application_credential_id; remove one",
        ),
        (HOWTO.replace("password=secret", "token = two words"), "[global] token: is no token"),
        (with_option("global", "key = k.pem"), "[global] cert: missing beside key"),
        (
            HOWTO.replace("host=monit", "host=http://monit"),
            "is no host: it is the name alone, without http://",
        ),
        (HOWTO.replace("mirantis.net", "mirantis.net:8086"), "is no host; a port is an option of its own"),
        (HOWTO.replace("host=monit-ent.vm.mirantis.net", "host="), "[db] host: '' is no host"),
        ("x = 1\n", "line 1 stands before any [section]"),
        ("[global]\nnonsense\n", "line 2 is neither [section] nor option = value"),
        (with_option("global", "user = again"), "[global] user: given twice (line"),
        (HOWTO + "[global]\n", "[global]: given twice (line"),
        (with_option("global", "runtime_dir = /" + "x" * 100), "[global] runtime_dir: /xxx"),
        (with_option("global", "log_file = ~no-such-user/log"), "[global] log_file: Could not determine"),
        ("[static]\nips = 10.0.0.1/8\n", "[static] ips: '10.0.0.1/8' has host bits set; write 10.0.0.0/8"),
        ("[static]\nips = 10.0.0.0/8\n", "[static] ips: 16777216 addresses are more than 131072"),
        ("[static]\nips = host\n", "[static] ips: 'host' is neither an IP address nor a CIDR block"),
        (
            "[static]\nips = @/no/such/file\n",
            "[static] ips: cannot read /no/such/file: No such file or directory",
        ),
        ("[static]\nurls = web\n", "[static] urls: 'web' is not name=URL"),
        ("[static]\nurls = a=http://h/ a=http://i/\n", "[static] urls: the name 'a' is given twice"),
        (
            with_option("vantage", "reference = gw"),
            "[vantage] reference: 'gw' is no IP address; write addresses, `g",
        ),
        (with_option("vantage", "reference = none, ::1"), "reference: 'none' is no IP address; write addr"),
        (with_option("vantage", "reference ="), "[vantage] reference: is empty; write `none`"),
        (with_option("targets", "source = no such/thing"), "[targets] source: 'no such/thing' is neither"),
    ],
)
def test_each_error_is_one_line_with_file_section_and_option(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith(f"{PATH}: ")
    assert problem in message
    assert "\n" not in message
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    line = f"{tmp_path}/x.ini: cannot read the configuration: No such file or directory; copy etc/conf.ini"
    with pytest.raises(ConfigError, match=re.escape(line)):
        config.load(str(tmp_path / "x.ini"))


def test_the_default_file_need_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOWNTIMER_CONFIG", raising=False)
    monkeypatch.setattr(config, "DEFAULT_PATH", str(tmp_path / "conf.ini"))
    assert config.load().global_ == config.load(str(tmp_path / "conf.ini")).global_
    (tmp_path / "conf.ini").mkdir()
    with pytest.raises(ConfigError, match="cannot read the configuration: Is a directory"):
        config.load()


@pytest.mark.parametrize(
    "host", ["localhost", "10.0.0.1", "::1", "[::1]", "influx_1.example.org", "bücher.example"]
)
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    db = parse(HOWTO.replace("host=monit-ent.vm.mirantis.net", f"host={host}")).db
    assert db is not None
    assert db.host == host


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_bytes(b"[global]\nuser = \xff\n")
    with pytest.raises(ConfigError, match=r"x.ini: not UTF-8 text \(byte 16\)"):
        config.load(str(tmp_path / "x.ini"))


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.ini").write_text(HOWTO)
    monkeypatch.setenv("DOWNTIMER_CONFIG", str(tmp_path / "c.ini"))
    assert config.load().path == str(tmp_path / "c.ini")
    monkeypatch.setenv("DOWNTIMER_CONFIG", str(tmp_path / "gone.ini"))
    with pytest.raises(
        ConfigError, match=r"gone\.ini: cannot read the configuration that DOWNTIMER_CONFIG names: No "
    ):
        config.load()


SAMPLE = Path(__file__).parents[2] / "etc" / "conf.ini.sample"


def test_the_sample_loads_as_it_stands() -> None:
    loaded = config.load(str(SAMPLE))
    assert loaded.db is None
    assert loaded.api.interval == 0.5


@pytest.mark.parametrize("section", list(config.SECTIONS))
def test_the_sample_shows_every_option_with_its_default(section: str) -> None:
    text = SAMPLE.read_text()
    block = re.search(rf"(?ms)^#?\[{section}\]\n(.*?)(?=^#?\[|\Z)", text)
    assert block is not None, f"no [{section}] in the sample"
    shown = dict(re.findall(r"(?m)^#?([a-z_]+) =[ ]?(.*)$", block[1]))
    for field in dataclasses.fields(config.SECTIONS[section]):
        assert field.name in shown, f"[{section}] {field.name} is not in the sample"
        default = config.option_of(field).default
        if isinstance(default, str):
            assert shown[field.name] == default
    assert shown.keys() <= {field.name for field in dataclasses.fields(config.SECTIONS[section])}


def test_sections_for_single_services_are_kept_by_their_names() -> None:
    loaded = parse(HOWTO + "[check nova]\npath = /v2.1/flavors?limit=1\n[check my service]\nworks = no\n")
    assert list(loaded.checks) == ["nova", "my service"]
    assert loaded.checks["nova"].path == "/v2.1/flavors?limit=1"
    assert loaded.checks["nova"].works
    assert not loaded.checks["my service"].works


def test_the_sample_shows_every_option_of_a_section_for_one_service() -> None:
    _, _, block = SAMPLE.read_text().partition("#[check nova]\n")
    shown = set(re.findall(r"(?m)^#([a-z_]+) =", block.partition("\n[")[0]))
    assert shown == {field.name for field in dataclasses.fields(CheckSection)}


def test_where_things_are_can_be_read_of_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "conf.ini"
    file.write_text(
        "[global]\nruntime_dir = run\nkeep_runs = many\n[foo]\nruntime_dir=x\n[global]\nstate_dir=/s\n"
    )
    found = config.load_places(str(file))
    assert (found.global_.runtime_dir, found.global_.state_dir) == (str(tmp_path / "run"), "/s")
    assert (found.db, found.checks) == (None, {})
    file.write_text("no configuration\n")
    with pytest.raises(ConfigError, match=rf"{file}: File contains no section headers"):
        config.load_places(str(file))
