"""Any process may die, hang, or be followed by another supervisor, at any time and under load."""

import os
import signal
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.chaos.outcome import Outcome
from tests.chaos.scene import READY_S, Scene
from tests.integration.command import is_alive
from tests.waiting import wait_until

CHILDREN: Final = ("api", "icmp", "writer", "discovery")
STEADY_S: Final = 10.5
"""A child that lived so long is started again with the shortest back-off: that is no time of ours."""

GONE_S: Final = 2.0
REST_S: Final = (3.0, 4.0)
HANGS: Final = 20
ENDS: Final = 5
REBOOTS: Final = 10
"""To so many deaths of each child comes one of these."""

_POLL_S: Final = 0.05


class Act(NamedTuple):
    """Something to be played: to which child (none: to all of them), what it is, and how it is done."""

    child: str
    name: str
    play: Callable[[], None]


def play(directory: Path, *, seed: int, times: int) -> list[Outcome]:
    """Kill each child so often; some hang, the supervisor is killed, the host is rebooted; at random."""
    with Scene(directory, seed=seed) as scene:
        acts = [
            *(Act(name, f"{name} killed", partial(_kill, scene, name)) for name in CHILDREN * times),
            *(
                Act(name, f"{name} hung, killed for it", partial(_hang, scene, name))
                for name in scene.random.sample(CHILDREN * HANGS, max(1, len(CHILDREN) * times // HANGS))
            ),
            *[Act("", "supervisor killed, started again", partial(_end_supervisor, scene))]
            * max(2, times // ENDS),
            *[Act("", "reboot", partial(_reboot, scene))] * max(1, times // REBOOTS),
        ]
        scene.random.shuffle(acts)
        steady_s = dict.fromkeys(CHILDREN, time.monotonic())  # when each has lived long enough
        while acts:
            act = next((act for act in acts if steady_s.get(act.child, 0.0) < time.monotonic()), None)
            if act is None:
                time.sleep(_POLL_S)
                continue
            acts.remove(act)
            scene.trouble(act.name, act.play)
            for name in (act.child,) if act.child else CHILDREN:
                steady_s[name] = time.monotonic() + STEADY_S
            time.sleep(scene.random.uniform(*REST_S))
        return scene.end()


def _process(scene: Scene, name: str) -> dict[str, Any]:
    (found,) = [one for one in scene.command.status()["processes"] if one["name"] == name]
    assert isinstance(found, dict)
    return found


def _kill(scene: Scene, name: str) -> None:
    pid = _process(scene, name)["pid"]
    os.kill(pid, signal.SIGKILL)
    _until_replaced(scene, name, pid)


def _hang(scene: Scene, name: str) -> None:
    pid = _process(scene, name)["pid"]
    os.kill(pid, signal.SIGSTOP)
    _until_replaced(scene, name, pid)


def _until_replaced(scene: Scene, name: str, pid: int) -> None:
    def is_replaced() -> bool:
        process = _process(scene, name)
        return bool(process["state"] == "running" and process["pid"] != pid)

    wait_until(is_replaced, timeout_s=READY_S, what=f"another {name}")


def _end_supervisor(scene: Scene) -> None:
    _kill_supervisor(scene)
    assert "goes on" in scene.command.ok("start")
    scene.until_up()


def _kill_supervisor(scene: Scene) -> None:
    pids = list(scene.command.pids().values())
    os.kill(scene.command.supervisor(), signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)), timeout_s=GONE_S, what="the children to end")


def _reboot(scene: Scene) -> None:
    _kill_supervisor(scene)
    boot_id = scene.command.directory / "boot_id"
    boot_id.write_text(f"{uuid.UUID(int=scene.random.getrandbits(128))}\n")
    booted_s = -int(time.clock_gettime(time.CLOCK_BOOTTIME)) + scene.random.randint(1, 20)
    script = f'mount --bind {boot_id} /proc/sys/kernel/random/boot_id && exec "$@"'
    prefix = ["unshare", "--time", f"--boottime={booted_s}", "--mount", "sh", "-c", script, "sh"]
    started = scene.command.run("start", prefix=prefix)
    assert started.code == 0, started
    assert "goes on" in started.out, started
    scene.until_up()
