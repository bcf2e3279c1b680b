"""A service with two workers whose database is frozen: what downtimer asks must not make its root silent."""

import time
from itertools import chain

from downtimer.demo.cloud import NONE, CloudConfig, SimulatedCloud
from downtimer.demo.daemon import Daemon
from downtimer.demo.database import ALIVE, FROZEN
from downtimer.demo.truth import Fault
from tests.integration.checks import show
from tests.waiting import wait_until

FROZEN_S = 35.0  # lists of agents are due every 10 s, those of servers and projects every 30 s
PATIENCE_S = 2.0
SERVICES = ("keystone", "nova", "cinder", "heat")


def test_the_root_of_a_service_with_two_workers_answers_while_its_calls_hang() -> None:
    """One call hangs, and that is all: no second one, and no list that discovery would have."""
    config = CloudConfig(services=SERVICES, network=NONE, workers=2)
    with SimulatedCloud(config) as cloud, Daemon(cloud) as daemon:
        time.sleep(6)
        frozen = {name: cloud.service(name).set_database(FROZEN) for name in SERVICES[1:]}
        time.sleep(FROZEN_S)
        alive = {name: cloud.service(name).set_database(ALIVE) for name in SERVICES[1:]}
        wait_until(
            lambda: "Nothing is down" in daemon.command("status"), timeout_s=10, what="all to be up again"
        )
        report = daemon.report()
    services = {target["name"]: target for target in report["targets"]}
    checks = {(name, check["name"]): check for name, t in services.items() for check in t["checks"]}
    show({key: check["down_s"] for key, check in checks.items()})
    assert {check["down_s"] for (_, name), check in checks.items() if name == "answers"} == {0}
    for name in chain(SERVICES[1:], ["cinderv2"]):
        service = name.removesuffix("v2")
        start, end = frozen[service], alive[service]
        fault = Fault(target=name, what=FROZEN, start=start, end=end, accepting=start)
        low_s, high_s = fault.seconds(PATIENCE_S)
        assert low_s - 2.2 <= checks[name, "works"]["down_s"] <= high_s + 2.2, name
        assert services[name]["down_min_s"] <= high_s, name
        assert low_s <= services[name]["down_max_s"], name
    assert services["keystone"]["down_s"] == 0
