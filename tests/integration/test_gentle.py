"""A service with two workers whose database is frozen: what downtimer asks must not make its root silent."""

import time
from itertools import chain

from downtimer.demo.cloud import NONE, CloudConfig, SimulatedCloud
from downtimer.demo.daemon import Daemon
from downtimer.demo.database import ALIVE, FROZEN
from tests.integration.checks import show
from tests.waiting import wait_until

FROZEN_S = 20.0  # as long as no list is due, for one asked for at the same time would hang, too
PATIENCE_S = 2.0
NO_AGENTS = "[targets]\nagents = no\n"
SERVICES = ("keystone", "nova", "cinder", "heat")


def test_the_root_of_a_service_with_two_workers_answers_while_its_calls_hang() -> None:
    """One call hangs, and that is all: no second one, and discovery does not look why."""
    config = CloudConfig(services=SERVICES, network=NONE, workers=2)
    with SimulatedCloud(config) as cloud, Daemon(cloud, sections=NO_AGENTS) as daemon:
        time.sleep(6)
        for name in SERVICES[1:]:
            cloud.service(name).set_database(FROZEN)
        time.sleep(FROZEN_S)
        for name in SERVICES[1:]:
            cloud.service(name).set_database(ALIVE)
        wait_until(
            lambda: "Nothing is down" in daemon.command("status"), timeout_s=10, what="all to be up again"
        )
        report = daemon.report()
    services = {target["name"]: target for target in report["targets"]}
    checks = {(name, check["name"]): check for name, t in services.items() for check in t["checks"]}
    show({key: check["down_s"] for key, check in checks.items()})
    assert {check["down_s"] for (_, name), check in checks.items() if name == "answers"} == {0}
    for name in chain(SERVICES[1:], ["cinderv2"]):
        works = checks[name, "works"]
        assert abs(works["down_s"] - (FROZEN_S - PATIENCE_S)) < 2.2, name
        assert services[name]["down_min_s"] <= FROZEN_S - PATIENCE_S <= services[name]["down_max_s"], name
    assert services["keystone"]["down_s"] == 0
