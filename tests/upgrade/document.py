"""What was measured, when and on what, as a document."""

import datetime as dt
import platform
import re
import statistics
import textwrap
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from tabulate import tabulate

from downtimer.model import ANSWERS, LOGIN, SECOND_NS
from tests.documents import WIDTH, machine
from tests.integration.keystone_install import KeystoneInstallation
from tests.integration.mariadb_env import mariadb_version
from tests.upgrade.cloud import PROCESSES
from tests.upgrade.comparison import CHECKS, Comparison, compare
from tests.upgrade.installations import version_of
from tests.upgrade.measurement import Measured
from tests.upgrade.prober import EVERY_S, PASSWORD, PATIENCE_S, RESCOPE, ROOT
from tests.upgrade.steps import Step

_KINDS: Final = {ROOT: "the root", RESCOPE: "another token", PASSWORD: "a token by password"}
_NONE: Final = "–"
_TEXT: Final = """\
A Keystone upgrade, measured
============================

{measured}

One Keystone under uWSGI with {processes} processes, on a MariaDB of its own, is upgraded by the steps that
Keystone's documentation has for an upgrade without downtime; with a single Keystone it can't be without.
Passwords are hashed with 4 rounds. Beside it two services are behind the real keystonemiddleware: ``nova``
believes for 300 s what it was told of a token, ``manila`` asks Keystone at every call. downtimer measures
with its default settings, for a minute before the first step and for half a minute after the last.

The figures are held against an independent prober, which every {every_ms:g} ms is due to ask for Keystone's
root, to sign in with the password, and to exchange a token for another. A request has failed if no good
answer came within {patience:g} s. Of each of the latter two one is out at a time, and is heard out. In the
*busy* run it asks all the time; in the *idle* one not before the schema has been expanded, for calls end
the transactions that idle processes have left open. *In bounds* is a figure if one length is within the
bounds of both.

What is seen
------------

The root was away from the SIGTERM on. While its processes ended, the old uWSGI took connections, answered
none and reset them; then they were refused; and as soon as the new uWSGI listened, they waited until
Keystone was loaded. Tokens came back later than the root, for the first one costs a fresh process seconds
while others are still loading. ``--migrate`` has done nothing since Yoga, and ``--contract`` has nothing to
do here.

Expanding the schema returned at once in both runs: what it took was Python's start and three indexes on two
tables. The old Keystone does leave a transaction open in each process that has given a token, but only on
the table ``service_provider``. Tried by hand on the same old Keystone, idle, a change of that table waited
for eight calls, one for each process: seven hung, while the root answered in 2 ms. The expansion of
Keystone 24 has such a change, those after it have none. Once, in an earlier run, MariaDB refused a query in
a transaction older than a new index ("Table definition has changed"), and the old Keystone answered 500 to
``manila``.

*answers* saw both edges to a fraction of a second. *works* knows by the answer to the call that hung when
it recovered; but where its bracket and that of *answers* overlap, both are reported to end together, and
the estimate for Keystone is short by what tokens came back later (*Off by*). The bounds contain it. *login*
is due every 15 s and waits while a call of *works* hangs. So it may see the beginning only, and the rest is
*not observed*, or all of it is, as the report says; or it was not due in all that time, and has *missed* an
outage that is shorter than its resolution, which the report states. It is by *works* that Keystone is known
to be of no use. ``manila`` hung about as long as Keystone did, and its users with it; unless it says in the
end that it was for want of Keystone, it is reported down itself. ``nova`` had no need to ask, and is not.

{runs}
"""


def compose(runs: Sequence[Measured], old: KeystoneInstallation, new: KeystoneInstallation) -> str:
    """Return the document, in reStructuredText."""
    date = dt.datetime.now(dt.UTC).date()
    measured = f"What ``make upgrade`` measured on {date}: {machine()}; {_versions(old, new)}."
    return _TEXT.format(
        measured=_filled(measured),
        processes=PROCESSES,
        every_ms=1000 * EVERY_S,
        patience=PATIENCE_S,
        runs="\n\n".join(_section(run) for run in runs),
    )


def _section(run: Measured) -> str:
    title = "A busy cloud" if run.is_busy else "An idle cloud"
    compared = compare(run)
    parts = [
        f"{title}\n{'-' * len(title)}",
        _table_of_steps(run),
        _filled(_seen(run, compared)),
        _table_of_checks(run, compared),
        "The report::",
        textwrap.indent(run.text.rstrip(), "    "),
    ]
    return "\n\n".join(parts)


def _table_of_steps(run: Measured) -> str:
    rows = [
        [step.what, _clock(run, step.start_ns), _clock(run, step.end_ns), f"{step.length_s:.2f} s"]
        for step in run.steps
    ]
    return _table(["The upgrade's own log", "Start (UTC)", "End", "Took"], rows)


def _table_of_checks(run: Measured, compared: Sequence[Comparison]) -> str:
    head = ["", "downtimer: down", "From", "To", "Prober: failed", "First", "Last", "Off by", "In bounds"]
    return _table(head, [_row(run, one) for one in compared])


def _row(run: Measured, one: Comparison) -> list[str]:
    ours, away = one.ours, one.away
    mine = f"{_s(ours.down_ns)} s ({_s(ours.down_min_ns)}–{_s(ours.down_max_ns)})"
    edges, failed = [_NONE, _NONE], [_NONE, _NONE]
    if ours.episodes:
        first_ns, last_ns = ours.episodes[0].start_ns, ours.episodes[-1].end_ns
        edges = [_clock(run, run.origin_ns + at_ns) for at_ns in (first_ns, last_ns)]
    if away:
        first_ns, last_ns = min(each.first_ns for each in away), max(each.last_ns for each in away)
        failed = [_clock(run, at_ns) for at_ns in (first_ns, last_ns)]
    seen = f"{one.least_s:.2f}–{one.most_s:.2f} s"
    return [one.what, mine, *edges, seen, *failed, f"{one.off_s:+.1f} s" if one.off_s else "–", one.verdict]


def _seen(run: Measured, compared: Sequence[Comparison]) -> str:
    """Return what the run shows, in words."""
    by_name = {one.what: one for one in compared}
    root, login = by_name[ANSWERS], by_name[LOGIN]
    expand = run.steps[0]
    nova_ns, manila_ns = (run.services[name].down_ns for name in ("nova", "manila"))
    return (
        f"Before the first step {run.transactions} transactions were open in the database. It took "
        f"{expand.length_s:.1f} s; {_meanwhile(run, expand)}. Then ``GET /`` was away for {root.least_s:.1f} "
        f"to {root.most_s:.1f} s, and nobody could sign in for {login.least_s:.1f} to {login.most_s:.1f} s. "
        f"``nova`` was down for {_s(nova_ns)} s, ``manila`` for {_s(manila_ns)} s. {_asked(run, compared)}"
    )


def _meanwhile(run: Measured, expand: Step) -> str:
    """Return what became of requests while the schema was expanded."""
    errors = f"answers of 500 and above in the old Keystone's log: {run.errors or 'none'}"
    if not run.is_busy:
        return errors
    within = [one for one in run.asked if expand.start_ns <= one.sent_ns <= expand.end_ns]
    failed = sum(not one.is_good for one in within)
    return f"of the prober's {len(within)} requests meanwhile {failed or 'none'} failed; {errors}"


def _asked(run: Measured, compared: Sequence[Comparison]) -> str:
    """Return how much was asked, how fast that is answered, and what came of the rest."""
    parts = []
    for (_, kind), one in zip(CHECKS, compared, strict=False):
        mine = [asked for asked in run.asked if asked.kind == kind]
        median_ms = statistics.median(
            (asked.over_ns - asked.sent_ns) / 1e6 for asked in mine if asked.is_good
        )
        causes = sum((Counter(away.causes) for away in one.away), Counter[str]())
        failed = ", ".join(f"{cause} {count}" for cause, count in causes.most_common())
        parts.append(f"{len(mine)} times for {_KINDS[kind]} ({median_ms:.0f} ms; failed: {failed or 'none'})")
    return f"The prober asked {', '.join(parts)}; in brackets the median of good answers."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, headers=head, tablefmt="rst", disable_numparse=True)


def _clock(run: Measured, at_ns: int) -> str:
    return run.truth.utc(at_ns).strftime("%H:%M:%S.%f")[:-3]


def _s(length_ns: int) -> str:
    return f"{length_ns / SECOND_NS:.1f}"


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)


def _versions(old: KeystoneInstallation, new: KeystoneInstallation) -> str:
    match = re.search(r"\d+\.\d+\.\d+", mariadb_version())
    if match is None:
        raise RuntimeError(f"mariadbd does not tell its version: {mariadb_version()}")
    found = [
        f"downtimer {version('downtimer')}",
        f"Python {platform.python_version()}",
        f"Keystone {version_of(old, 'keystone')} to {version_of(new, 'keystone')}",
        f"uWSGI {version_of(new, 'pyuwsgi')}",
        f"MariaDB {match[0]}",
    ]
    return ", ".join(found)
