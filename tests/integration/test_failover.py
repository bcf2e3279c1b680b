"""A call that hangs on a host that is gone is not waited for, once another host has its address."""

import time
from datetime import datetime

from downtimer.demo.cloud import SERVICE_IP, CloudConfig, SimulatedCloud
from downtimer.demo.daemon import Daemon
from downtimer.demo.database import FROZEN
from downtimer.demo.truth import now_ns
from downtimer.workers.pending import PENDING_NS
from tests.integration.command import target
from tests.waiting import wait_until

GONE_S = 6.0
SEEN_S = 5.0  # the kernel asks every second, and is answered by the new host, or gives up after three


def test_pending_call_ends_with_the_host_that_it_was_made_to() -> None:
    """Its database froze, then the host was lost without a word, and another took its address over."""
    with (
        SimulatedCloud(CloudConfig(services=("keystone", "glance"), addresses=())) as cloud,
        Daemon(cloud) as daemon,
    ):
        glance = cloud.service("glance")
        wait_until(lambda: works(daemon), timeout_s=10, what="glance to work")
        glance.set_database(FROZEN)
        wait_until(
            lambda: "works: timeout-answer" in daemon.command("status"), timeout_s=10, what="it to hang"
        )
        cloud.network.drop([SERVICE_IP])
        glance.kill()
        time.sleep(GONE_S)
        cloud.network.restore([SERVICE_IP])
        glance.start()
        back_at = cloud.truth.utc(now_ns())
        wait_until(lambda: "Nothing is down" in daemon.command("status"), timeout_s=30, what="all to be up")
        daemon.stop()
        (episode,) = target(daemon.report(), "glance")["episodes"]
    until_s = (datetime.fromisoformat(episode["end"]) - back_at).total_seconds()
    assert until_s < SEEN_S < PENDING_NS / 1e9


def works(daemon: Daemon) -> bool:
    """Tell whether glance has been seen to work."""
    checks = target(daemon.report(), "glance")["checks"]
    return any(check["name"] == "works" and check["probes"] >= 2 for check in checks)
