"""The report of a recording as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..analysis.critical_path import Section
from ..analysis.report import PROCESSOR, SLEEP, STORAGE, ActivityCost, Report
from ..output.command_label import cut
from ..output.units import byte_size, duration
from . import summary_text

SHOWN = 5
"""The most items of a list; activities have twice as many."""
WIDTH = 70
"""The most characters of a command line."""
_BARS = "▁▂▃▄▅▆▇█"


def lines(report: Report) -> Iterator[str]:
    """Yields the lines of the report."""
    if report.summary.command:
        yield from summary_text.lines(report.summary)
    else:
        yield f"{report.summary.processes:,} processes started in {duration(report.wall_ns)}"
        yield from summary_text.cost_lines(report.summary)
    if not report.summary.processes:
        return
    yield from _concurrency(report.concurrency)
    yield from _listed("serial sections, in which only one process was active", _sections(report))
    yield from _listed("critical path, which decided the wall time, by activity", _path(report))
    yield from _listed("repeated commands, with the same arguments in the same directory", _repeated(report))
    waiting = "(time without a living child, minus CPU time)"
    if report.cpu_ns:
        yield f"working: {duration(report.cpu_ns)} of CPU time; waiting: {duration(report.waiting_ns)} {waiting}"
        yield from waiting_lines(report)
    else:
        yield "working, waiting: not known, for the CPU time isn't"
    yield from _listed("activities (CPU time; waiting)", _activities(report))


def waiting_lines(report: Report) -> Iterator[str]:
    """Yields a line that says what the waiting was for; none if that isn't known."""
    for_processor = report.waiting_for_processor_ns
    if for_processor is not None:
        asleep = f"{duration(report.waiting_ns - for_processor)} asleep, or waiting for the disk or the network"
        yield f"of the waiting: {duration(for_processor)} for a processor; {asleep}"


def directory_name(directory: str) -> str:
    """Returns the path of a directory. Only its numbers are known if its processes ended before webpf looked it up."""
    return directory if directory.startswith("/") else "a directory whose path is not known"


def _concurrency(steps: Sequence[float]) -> Iterator[str]:
    most = max(steps)
    if most:
        bars = "".join(_BARS[min(int(step / most * len(_BARS)), len(_BARS) - 1)] if step else " " for step in steps)
        yield f"concurrency: |{bars}| up to {most:.1f}, {sum(steps) / len(steps):.1f} on average"


def _listed(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield f"{title}:"
        yield from (f"  {item}" for item in items)


def _sections(report: Report) -> list[str]:
    def described(section: Section) -> str:
        begin = duration(section.start_ns - report.start_ns)
        return f"{duration(section.duration_ns):>10}  from {begin} on: {cut(section.node.title, WIDTH)}"

    return [described(section) for section in report.serial_sections[:SHOWN]]


def _path(report: Report) -> list[str]:
    whole = max(report.wall_ns, 1)
    return [
        f"{duration(share.time_ns):>10}  {share.time_ns / whole:4.0%}  {len(share.process_ids):,} x {share.activity}"
        for share in report.path_shares[:SHOWN]
    ]


def _repeated(report: Report) -> list[str]:
    return [
        f"{duration(each.repeated_ns):>10}  {len(each.process_ids):,} x {cut(each.line, WIDTH)}"
        + (f"  in {directory_name(each.directory)}" if each.directory else "")
        for each in report.repeated[:SHOWN]
    ]


def _activities(report: Report) -> list[str]:
    shown = report.activities[: 2 * SHOWN]
    reasons = [_reason(each) for each in shown]
    width = max(map(len, reasons), default=0)
    return [
        f"{duration(each.cpu_ns):>10}  {duration(each.waiting_ns):>10} {reason:{width}}"
        f"  {each.processes:,} x {each.activity}"
        for each, reason in zip(shown, reasons, strict=True)
    ]


def _reason(cost: ActivityCost) -> str:
    """Returns what an activity mostly waited for. That it was for the disk is a guess, so this says what it moved."""
    if cost.waits_for == STORAGE:
        read, written = cost.costs.read_bytes or 0, cost.costs.write_bytes or 0
        moved = [f"{verb} {byte_size(number)}" for verb, number in (("read", read), ("wrote", written)) if number]
        return f"waiting ({', '.join(moved) or f'{cost.costs.major_faults:,} major page faults'})"
    return {PROCESSOR: "waiting for a processor", SLEEP: "asleep"}.get(cost.waits_for or "", "waiting")
