"""What doctor makes of what it sees: room on the disk, the clock, the unit, the lists; and how it says so."""

import json
import os
import pwd
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from downtimer import accounts, config, targets
from downtimer.config import Config
from downtimer.doctor import cloud, disk, examination, machine, network, settings, timekeeping
from downtimer.doctor.bounded import Silence, findings_of
from downtimer.doctor.finding import Finding, Level, conclusion, fail, json_of, line_of, ok, warn
from downtimer.doctor.timekeeping import ClockState
from downtimer.errors import ConfigError
from downtimer.listing import Owner
from downtimer.model import SECOND_NS
from downtimer.targets import Endpoint
from downtimer.workers.cloud import CloudList
from downtimer.workers.echo import EchoSocket
from downtimer.workers.finder import Found
from downtimer.workers.identity import SignedIn
from downtimer.workers.worker import CannotStartError
from tests.waiting import wait_until


def configuration(directory: Path, sections: str = "") -> Config:
    """Return a configuration in a folder, with its places there."""
    path = directory / "conf.ini"
    places = f"state_dir={directory}/state\nruntime_dir={directory}/run\nlog_file={directory}/state/log\n"
    path.write_text(
        f"[global]\nkeystone_endpoint=http://k:5000\n{places}report_file={directory}/state/report\n{sections}"
    )
    return config.load(str(path))


def signing_in(directory: Path) -> Config:
    """Return the same, with the account that it names."""
    found = configuration(directory)
    return replace(found, account=accounts.of_file(found, "s3cret"))


def levels(findings: list[Finding]) -> list[str]:
    """Return how grave each is."""
    return [finding.level.value for finding in findings]


# --- how it is said ---


def test_each_finding_is_one_line_with_its_remedy_whatever_is_in_it() -> None:
    assert (
        line_of(fail("lists", "evil\n\x1b[2J", "mend it"))
        == "FAIL  lists          evil\\x0a\\x1b[2J; mend it\n"
    )
    assert line_of(ok("clock", "fine")) == "ok    clock          fine\n"


def test_the_last_line_sums_up() -> None:
    assert conclusion([ok("a", "")]) == "\nAll is ready.\n"
    assert conclusion([ok("a", ""), warn("b", "")]) == "\nA run can begin; worth a look: 1 of 2 checks.\n"
    assert conclusion([fail("a", ""), warn("b", "")]).startswith("\n1 of 2 checks failed")


def test_as_json_absent_is_null() -> None:
    found = json.loads(json_of([ok("a", "fine"), fail("b", "broken", "mend it")]))
    assert found == {
        "version": 1,
        "failed": 1,
        "findings": [
            {"check": "a", "level": "ok", "text": "fine", "remedy": None},
            {"check": "b", "level": "fail", "text": "broken", "remedy": "mend it"},
        ],
    }


def test_what_hangs_is_a_finding_and_so_is_what_raises() -> None:
    never = threading.Event()

    def hang() -> list[Finding]:
        never.wait(10)
        return []

    def refuse() -> list[Finding]:
        raise ConfigError("wrong")

    def break_off() -> list[Finding]:
        raise PermissionError(1, "not for you")

    assert findings_of("slow", hang, 0.1) == [fail("slow", "took longer than 0 s, and was given up")]
    never.set()
    assert findings_of("a", refuse) == [fail("a", "wrong")]
    assert findings_of("a", break_off) == [fail("a", "could not be found out: not for you")]
    assert findings_of("a", lambda: [ok("a", str(1 // 0))]) == [
        fail("a", "could not be found out: ZeroDivisionError: integer division or modulo by zero")
    ]


def test_silence_ends_what_is_not_heard_of_and_nothing_else() -> None:
    cut = threading.Event()
    silence = Silence(0.05)
    silence.begin(cut.set)
    wait_until(cut.is_set, timeout_s=5, what="it to be cut")
    cut.clear()
    silence.heard()
    silence.close()
    assert not cut.wait(0.2)


# --- disk, clock, descriptors, unit ---


def test_room_is_held_against_a_day_of_that_many_targets() -> None:
    wanted = disk.journal_bytes(9, 10_000, has_db=False)
    assert 100e6 < wanted < 200e6
    assert disk.journal_bytes(9, 10_000, has_db=True) > wanted + 1e9
    assert disk.judge_room("/state", wanted, wanted).level is Level.OK
    assert disk.judge_room("/state", wanted - 1, wanted).level is Level.WARN
    assert disk.judge_room("/state", 1_000_000, wanted).level is Level.FAIL


def test_a_day_is_told_in_what_it_is_measured_in_and_not_at_all_if_nobody_knows(tmp_path: Path) -> None:
    def said(services: int, addresses: int, sections: str = "") -> str:
        room, *_ = disk.examine(configuration(tmp_path, sections), services, addresses)
        return room.text.partition(" are free")[2]

    assert said(9, 20) == "; a day's journal takes 28 MB at most"
    assert said(9, 20, "[db]\nhost=influx\n") == "; a day's journal takes 1.1 GB at most"
    assert said(0, 0) == ""
    assert "/state: 80 MB are free" in disk.judge_room("/state", 80_000_000, None).text
    assert disk.judge_room("/state", 1_000_000, None).level is Level.FAIL


def test_a_configuration_that_names_no_cloud_fails_once_and_leaves_open_what_depends_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = configuration(tmp_path, "[vantage]\nreference=none\n")
    line = "conf.ini: [global] keystone_endpoint: missing"

    def lack(_: Config) -> Config:
        raise ConfigError(line)

    def forbid(*_: object) -> EchoSocket:
        raise CannotStartError("ICMP is not permitted")

    monkeypatch.setattr(network, "EchoSocket", forbid)
    found = list(examination.examine(lambda: given, lack))
    by_check = {one.check: one for one in found}
    assert [one for one in found if one.check == settings.NAME] == [fail(settings.NAME, line)]
    assert by_check[cloud.TARGETS].level is Level.OPEN
    assert by_check[network.ICMP].text == (
        "whether addresses are measured is not known yet, but ICMP is not permitted"
    )
    assert "a day" not in by_check[disk.DISK].text
    assert line_of(by_check[cloud.TARGETS]).startswith("open  targets        ")


def test_folders_that_are_missing_are_not_made(tmp_path: Path) -> None:
    given = configuration(tmp_path)
    assert "ok" in levels([one for one in disk.examine(given, 1, 1) if one.check == disk.FILES])
    assert {path.name for path in tmp_path.iterdir()} == {"conf.ini"}


def test_what_can_not_be_written_is_told_by_its_option(tmp_path: Path) -> None:
    given = configuration(tmp_path)
    (tmp_path / "state").write_text("a file")
    (tmp_path / "run").write_text("another")
    texts = [one.text for one in disk.examine(given, 1, 1) if one.level is Level.FAIL]
    assert [text.split("[global] ")[1].split(":")[0] for text in texts] == [
        "state_dir",
        "runtime_dir",
        "log_file",
        "report_file",
    ]


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (ClockState(0, 0, 12_000), Level.OK),
        (ClockState(0, 0x0040, 12_000), Level.WARN),
        (ClockState(5, 0, 12_000), Level.WARN),
        (ClockState(0, 0, 16_000_000), Level.WARN),
    ],
)
def test_the_kernel_is_believed_about_its_clock(state: ClockState, level: Level) -> None:
    assert timekeeping.judge(state).level is level


def test_the_kernel_tells_of_its_clock() -> None:
    found = timekeeping.read()
    assert 0 <= found.state <= 5
    assert found.error_us >= 0


def test_few_descriptors_for_many_services_are_told() -> None:
    assert machine.judge_descriptors(65536, 9).level is Level.OK
    assert machine.judge_descriptors(-1, 9).level is Level.OK
    assert machine.judge_descriptors(1024, 9).level is Level.WARN


def unit(directory: Path, program: str, user: str) -> list[Finding]:
    """Return what is found of a unit that runs that as this user."""
    text = f"# =\n[Service]\nExecStart={program} start --foreground\nUser={user}\nExecStart=\n"
    (directory / machine.UNIT_NAME).write_text(text.replace("ExecStart=\n", ""))
    return list(machine.examine_unit(configuration(directory), (str(directory / "none"), str(directory))))


def test_a_unit_that_fits_is_well_and_one_that_does_not_is_told_with_the_remedy(tmp_path: Path) -> None:
    own = pwd.getpwuid(os.geteuid()).pw_name
    assert levels(unit(tmp_path, "/bin/sh", own)) == ["ok"]
    (missing,) = unit(tmp_path, "/nowhere/downtimer", own)
    assert "/nowhere/downtimer can't be run" in missing.text
    (odd,) = unit(tmp_path, "'/bin/sh", own)
    assert "nothing can't be run" in odd.text
    (nobody,) = unit(tmp_path, "/bin/sh", "no-such-user")
    assert "systemd-sysusers" in nobody.remedy


def test_no_unit_is_no_fault(tmp_path: Path) -> None:
    assert levels(list(machine.examine_unit(configuration(tmp_path), (str(tmp_path),)))) == ["ok"]


# --- the cloud ---


def listed(*, roles: tuple[str, ...] = ("admin",), away: dict[str, str] | None = None) -> Found:
    """Return what was found of a cloud with a nova and an address, as a user with these roles."""
    nova = targets.service(
        Endpoint(
            service="nova",
            type="compute",
            region="One",
            interface="public",
            url="http://n/",
            root="http://n/",
        )
    )
    packed = targets.pack("172.16.0.1")
    held = SignedIn(
        token="s3cret",
        issued_ns=0,
        expires_ns=3600 * SECOND_NS,
        renew_ns=0,
        project_id="p",
        project="admin",
        content=None,
        roles=roles,
    )
    made = CloudList(
        services=(nova,),
        addresses={packed: Owner("p")},
        away=away or {},
        knows_powers=True,
        signed_in=held,
    )
    found = Found(made)
    found.listed.others[nova.id] = nova
    found.listed.addresses[packed] = Owner("p")
    found.complaints = ()
    return found


def test_a_cloud_that_is_well_is_told_with_what_would_be_measured(tmp_path: Path) -> None:
    findings = list(cloud.examine(signing_in(tmp_path), listed()))
    text = "".join(map(line_of, findings))
    assert set(levels(findings)) == {"ok"}
    assert "roles admin; a token lives for 60 min" in text
    assert "1 service would be measured: nova" in text
    assert "1 address would be measured, of 1 project\n" in text
    assert "s3cret" not in text


def test_who_is_no_administrator_is_told_what_is_not_seen(tmp_path: Path) -> None:
    (warned,) = [
        one
        for one in cloud.examine(signing_in(tmp_path), listed(roles=("member",)))
        if one.level is Level.WARN
    ]
    assert "without the role admin" in warned.text


def test_a_neutron_that_is_away_fails_and_filters_that_match_nothing_are_warned_of(tmp_path: Path) -> None:
    found = listed(away={"Neutron One": "Neutron One at http://q cannot list floating IPs: it answered 500"})
    found.complaints = ("[targets] include: 'nvoa' matches no service of the catalog",)
    findings = list(cloud.examine(signing_in(tmp_path), found))
    assert [one.text for one in findings if one.level is Level.FAIL] == [found.cloud.away["Neutron One"]]
    assert [one.text for one in findings if one.level is Level.WARN] == [
        f"{tmp_path}/conf.ini: {found.complaints[0]}"
    ]


def test_nothing_to_measure_fails(tmp_path: Path) -> None:
    found = listed()
    found.listed.others.clear()
    found.listed.addresses.clear()
    failed = [one for one in cloud.examine(signing_in(tmp_path), found) if one.level is Level.FAIL]
    assert len(failed) == 1
    assert "leave nothing of 1 services and 1 floating IPs" in failed[0].text
