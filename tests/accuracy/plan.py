"""When each fault begins and ends: drawn once from a seed, for each target apart. Pure."""

import math
from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

LEAD_S: Final = 12.0
"""Before the first fault: twenty answers make a normal, of a service in ten seconds."""

TAIL_S: Final = 9.0
"""After the last one, so that its end is seen and settled."""

SHORTEST_S: Final = 0.15
LONGEST_S: Final = 12.0
_REST_S: Final = (7.0, 9.0)  # more than what settles an episode, at any phase


class Stretch(NamedTuple):
    """One fault, in seconds since the beginning of the play."""

    begin_s: float
    end_s: float


def draw(random: Random, count: int) -> list[Stretch]:
    """Return so many faults of one target, one after another.

    Their lengths are spread evenly over the logarithm between the shortest and the longest, in random order.
    """
    shares = [(number + random.random()) / count for number in range(count)]
    random.shuffle(shares)
    found: list[Stretch] = []
    at_s = LEAD_S
    for share in shares:
        at_s += random.uniform(*_REST_S)
        length_s = SHORTEST_S * math.exp(share * math.log(LONGEST_S / SHORTEST_S))
        found.append(Stretch(at_s, at_s + length_s))
        at_s += length_s
    return found


def length_s(plans: Sequence[Sequence[Stretch]]) -> float:
    """Return how long a play of several targets takes."""
    return max((plan[-1].end_s for plan in plans if plan), default=LEAD_S) + TAIL_S
