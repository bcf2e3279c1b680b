"""What SIGHUP changes: which options count at once, what is replaced for that, and what has to wait."""

from typing import Final

from downtimer import config
from downtimer.config import Config
from downtimer.supervisor.reload import Reload, reload

PATH: Final = "/etc/downtimer/conf.ini"
BEFORE: Final = """
[global]
log_level=info
password=old
[static]
ips=10.0.0.1, 10.0.0.2
urls=web=http://h/
"""


def read(text: str) -> Config:
    """Return a configuration."""
    return config.parse(text, PATH)


def reloaded(after: str, before: str = BEFORE) -> Reload:
    """Return what reading the other file changes."""
    return reload(read(before), read(after))


def test_without_a_difference_nothing_is_changed() -> None:
    found = reloaded(BEFORE)
    assert (found.changed, found.later, found.children, found.dropped) == ((), (), (), frozenset())
    assert found.config == read(BEFORE)


def test_the_log_level_needs_no_other_process() -> None:
    found = reloaded(BEFORE.replace("info", "debug"))
    assert (found.changed, found.children) == (("[global] log_level",), ())
    assert found.config.global_.log_level == "debug"


def test_static_targets_are_for_discovery_and_those_that_are_gone_are_named() -> None:
    found = reloaded(BEFORE.replace("10.0.0.1, ", "10.0.0.3, ").replace("web=http://h/", "web=http://other/"))
    assert found.changed == ("[static] ips", "[static] urls")
    assert found.children == ("discovery",)
    assert found.dropped == {"address/10.0.0.1", "static/web/http://h/"}


def test_influxdb_is_for_the_writer_alone_if_the_details_stay() -> None:
    found = reloaded(BEFORE + "[db]\nhost=there\n", BEFORE + "[db]\n")
    assert (found.changed, found.children) == (("[db] host",), ("writer",))


def test_whether_there_is_an_influxdb_matters_to_those_that_probe() -> None:
    for before, after in ((BEFORE, BEFORE + "[db]\n"), (BEFORE + "[db]\n", BEFORE)):
        found = reloaded(after, before)
        assert (found.changed, found.children) == (("[db]",), ("writer", "api", "icmp"))


def test_all_else_waits_and_its_values_are_not_told() -> None:
    after = BEFORE.replace("old", "new") + "[api]\ninterval=1\n[check nova]\nworks=no\n"
    found = reloaded(after)
    assert found.later == ("[global] password", "[api] interval", "[check nova]")
    assert (found.changed, found.children, found.config) == ((), (), read(BEFORE))
