"""The report of a recording as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..analysis.critical_path import Section
from ..analysis.report import Report
from ..output.command_label import cut
from ..output.units import duration
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
    if not report.summary.processes:
        return
    yield from _concurrency(report.concurrency)
    yield from _listed("serial sections, in which only one process was active", _sections(report))
    yield from _listed("critical path, which decided the wall time, by activity", _path(report))
    yield from _listed("repeated commands, with the same arguments in the same directory", _repeated(report))
    waiting = "(wall time minus CPU time of processes without children)"
    if report.cpu_ns:
        yield f"working: {duration(report.cpu_ns)} of CPU time; waiting: {duration(report.waiting_ns)} {waiting}"
    else:
        yield "working, waiting: not known, for the CPU time isn't"
    yield from _listed("activities (CPU time; waiting)", _activities(report))


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
    return [
        f"{duration(each.cpu_ns):>10}  {duration(each.waiting_ns):>10} waiting  {each.processes:,} x {each.activity}"
        for each in report.activities[: 2 * SHOWN]
    ]
