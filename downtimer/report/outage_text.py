"""What the text report tells of each outage."""

from collections.abc import Iterator

from downtimer.findings import CheckSummary, Episode, TargetSummary
from downtimer.printable import printable
from downtimer.report import wording
from downtimer.report.summary import Summary
from downtimer.report.titles import moment_of, period_of, title_of
from downtimer.report.wording import number, plural


def tell_of_outages(summary: Summary, target: TargetSummary) -> str:
    """Return the outages of a target: what they amount to, then a row for each episode."""
    if not target.episodes:
        return ""
    lines = [_headline(summary, target)]
    has_checks = len(target.checks) > 1
    if has_checks:
        lines.append(f"    by check: {', '.join(_share(check) for check in target.checks)}\n")
    for episode in target.episodes:
        lines.append(_row(summary, episode, has_checks=has_checks))
        if not _is_plain(episode):
            remarks = "; ".join(remarks_on(summary, episode, target))
            lines.append(f"      {remarks}\n" if remarks else "")
    return "".join(lines)


def _headline(summary: Summary, target: TargetSummary) -> str:
    longest = f", the longest {wording.seconds(target.longest_ns)}" if len(target.episodes) > 1 else ""
    method = target.method if target.method not in (None, "icmp") else None
    by = f" (measured by {printable(method)})" if method else ""
    return (
        f"  {title_of(summary, target)}{by}: down {wording.downtime(target)}"
        f" in {plural(len(target.episodes), 'episode')}{longest}\n"
    )


def _share(check: CheckSummary) -> str:
    slow = f" (and slow {wording.seconds(check.slow_ns)})" if check.slow_ns else ""
    return f"{printable(check.name)} {wording.seconds(check.down_ns)}{slow}"


def _row(summary: Summary, episode: Episode, *, has_checks: bool) -> str:
    if episode.is_ongoing:
        end = "not ended" if summary.run.end_ns is not None or summary.is_endless else "ongoing"
        times = f"{moment_of(summary, episode.start_ns)} – {end}"
    else:
        times = period_of(summary, episode.start_ns, episode.end_ns)
    share = f"{wording.share(episode.failed_share)} % failed"
    causes = wording.causes(episode.causes)
    checks = f"  [{printable(', '.join(episode.checks))}]" if has_checks else ""
    duration = wording.duration(episode)
    return f"    {times.ljust(38)}  {duration.ljust(22)}  {share.rjust(14)}  {causes}{checks}\n"


def _is_plain(episode: Episode) -> bool:
    """Tell whether an episode's row is the whole story; of most it is."""
    return not (
        episode.several
        or episode.label
        or episode.unobserved_ns
        or episode.is_ongoing
        or episode.is_start_censored
        or episode.is_end_censored
    )


def remarks_on(summary: Summary, episode: Episode, target: TargetSummary) -> Iterator[str]:
    """Yield what keeps an episode's row from being the whole story."""
    if episode.label:
        yield printable(episode.label)
    if episode.several:
        yield f"{number(len(episode.several))} outages in it, together down {wording.downtime(episode)}"
    if not target.has_answered:
        yield "never answered"
    elif episode.is_start_censored:
        if episode.earliest_ns == target.start_ns:
            yield "start not seen: under way when first observed"
        else:
            yield f"start not seen: {moment_of(summary, episode.earliest_ns)} at the earliest"
    if episode.is_end_censored:
        yield f"end not seen: {moment_of(summary, episode.latest_ns)} at the latest"
    if episode.is_ongoing and target.has_answered:
        yield f"not ended when last seen at {moment_of(summary, episode.end_ns)}"
    if episode.unobserved_ns:
        yield f"{wording.seconds(episode.unobserved_ns)} of it not observed"
