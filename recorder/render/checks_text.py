"""The findings of `webpf verify` and the checks of `webpf doctor` as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..model.recording import COMPLETE, INTERRUPTED

if TYPE_CHECKING:
    from ..kernel.doctor import Check
    from ..storage.chain_check import Chain
    from ..storage.verify import Finding

_MARKS = {True: "ok", False: "MISSING", None: "-"}


def finding_lines(finding: Finding) -> Iterator[str]:
    """Yields a line for a finding of verify, and for each of its problems, and for what isn't checked."""
    yield f"{'WRONG' if finding.problems else 'ok':6} {_summary(finding)}"
    yield from (f"{'':6} {problem}" for problem in finding.problems)
    if finding.not_checked is not None:
        yield f"{'':6} not checked: {finding.not_checked}"


def check_lines(check: Check) -> Iterator[str]:
    """Yields a line for a check of doctor, and a line with the command that fixes it if it failed."""
    yield f"{_MARKS[check.ok]:8} {check.name:14} {check.detail}"
    if check.ok is False and check.fix:
        yield f"{'':8} {'':14} -> {check.fix}"


def _summary(finding: Finding) -> str:
    recording = finding.recording
    if finding.chain is not None:
        return _chain_summary(finding.chain)
    if recording is None:
        return "the file"
    verdict = "no event was lost"
    if recording.lost:
        verdict = f"{recording.lost:,} events were lost, so counts are a lower bound"
    elif recording.status != COMPLETE:
        verdict = "what is after its last commit is missing" if recording.status == INTERRUPTED else "it goes on"
    elif recording.lost is None:
        verdict = "it isn't known whether events were lost"
    found = f"{finding.processes:,} processes from {finding.events:,} events"
    if not recording.has_raw_events:
        found = f"{finding.processes:,} processes and {finding.events:,} programs"
    return f"recording {recording.id}: {recording.status}, {found}; {verdict}"


def _chain_summary(chain: Chain) -> str:
    first, last = chain.segments[0], chain.segments[-1]
    counts = [counts for segment in chain.segments for counts in segment.counts.values()]
    attempted, lost = (sum(getattr(each, name) or 0 for each in counts) for name in ("attempted", "lost"))
    numbers = f"segments {first.row['segment']} to {last.row['segment']} (recordings {first.id} to {last.id})"
    verdict = "of which none was lost" if not lost else f"of which {lost:,} were lost"
    return f"chain {chain.number}: {numbers}; the kernel counted {attempted:,} events, {verdict}"
