"""The report of a recording as Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..analysis import command_summary
from ..analysis.command_summary import ProcessDetails
from ..analysis.report import Report
from ..output.units import duration, size
from . import markdown, summary_text
from .report_text import SHOWN, directory_name, waiting_lines


def lines(file: Path, report: Report) -> Iterator[str]:
    """Yields the lines of the report."""
    recording, summary = report.recording, report.summary
    intro = f"Recording {recording.id} in {markdown.code(str(file))}"
    intro += f", {markdown.code(recording.name)}" if recording.name else ""
    yield f"## webpf report: {markdown.code(summary.command.title) if summary.command else 'all processes'}"
    yield ""
    yield f"{intro}, on {markdown.code(recording.machine_name)}: {_total(report)}."
    if recording.caveat:
        yield ""
        yield f"> {markdown.plain(recording.caveat)}"
    costs = [*summary_text.cost_lines(summary), *waiting_lines(report)]
    if costs:
        yield ""
        yield markdown.plain(". ".join(f"{line[:1].upper()}{line[1:]}" for line in costs)) + "."
    notable = list(_notable(report))
    if notable:
        yield from markdown.table(["", "process", ">"], notable)
    if report.path_shares:
        yield ""
        yield "### Critical path"
        yield from markdown.table([">time", ">share", ">processes", "activity"], _path(report))


def _total(report: Report) -> str:
    summary = report.summary
    if summary.command:
        total = summary_text.figures(summary, summary.command)
    else:
        total = f"{summary.processes:,} processes started in {duration(report.wall_ns)}"
    return markdown.plain(total) + f"; {summary.failures:,} failed; {summary.still_running:,} still running"


def _notable(report: Report) -> Iterator[list[str]]:
    """Yields rows for processes that were slow, large, failed, still run or were repeated: (reason, process, value)."""
    summary = report.summary
    lists: list[tuple[str, Sequence[ProcessDetails], Callable[[ProcessDetails], str]]] = [
        ("slowest", summary.slowest, lambda process: duration(process.active_ns or 0)),
        ("most CPU", summary.most_cpu, lambda process: duration(process.cpu_ns or 0)),
        ("most memory", summary.most_memory, lambda process: size(process.max_rss_kib or 0)),
        ("failed", summary.failed, lambda process: markdown.plain(process.outcome, in_table=True)),
        ("likely cause", summary.last_failures[-1:], lambda process: markdown.plain(process.outcome, in_table=True)),
        ("still running", summary.running, lambda process: f"pid {process.pid}"),
    ]
    for what, processes, shown in lists:
        for process in processes:
            yield [what, markdown.code(process.title, in_table=True), shown(process)]
    for each in report.repeated[: command_summary.SHOWN]:
        where = f" in {markdown.code(directory_name(each.directory), in_table=True)}" if each.directory else ""
        name = f"{len(each.process_ids):,} x {markdown.code(each.line, in_table=True)}{where}"
        yield ["repeated", name, f"{duration(each.repeated_ns)} more than once"]


def _path(report: Report) -> list[list[str]]:
    whole = max(report.wall_ns, 1)
    return [
        [
            duration(each.time_ns),
            f"{each.time_ns / whole:.0%}",
            f"{len(each.process_ids):,}",
            markdown.code(each.activity, in_table=True),
        ]
        for each in report.path_shares[:SHOWN]
    ]
