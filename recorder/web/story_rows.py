"""What the story of a recording says, in the words of `webpf report`, for its template. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..analysis.command_summary import ProcessDetails
from ..analysis.report import PathShare, Report
from ..analysis.story import MOST_REPORTED, Story
from ..model.recording import COMPLETE, GOING_ON, INTERRUPTED, Recording
from ..output import units
from ..output.command_label import cut
from ..render import report_text, summary_text

QUERIES = ("failures", "waiting", "lifetimes", "busiest", "memory", "running", "losses")
"""The saved queries that the rows link to."""

_WIDTH = 70  # the most characters of a command line
_SHARES = 4  # of the critical path
_STATES = {GOING_ON: "the recording goes on", COMPLETE: "complete", INTERRUPTED: "the recorder was killed"}


@dataclass(frozen=True)
class Item:
    """A process or an activity. detail: what is said about it. id: of its row; None if it is more than one process."""

    text: str
    detail: str
    id: int | None = None


@dataclass(frozen=True)
class Line:
    """A row of the story. note: text after the items. query: the saved query that says more. is_bad: to be marked.

    is_path: whether the timeline's critical path says more.
    """

    label: str
    items: tuple[Item, ...] = ()
    note: str = ""
    query: str | None = None
    is_bad: bool = False
    is_path: bool = False


@dataclass(frozen=True)
class Description:
    """The story for people. command: what was recorded; None: all of a machine. is_bad: whether the command failed."""

    command: str | None
    figures: str
    is_bad: bool
    when: str
    lines: tuple[Line, ...]


def describe(story: Story, about: str | None) -> Description:
    """Returns the story for people. about: the scope that it is limited to; None for a recording as a whole."""
    summary, recording = story.summary, story.recording
    command = summary.command
    figures = f"{summary_text.process_count(summary.processes)} started in {units.duration(story.length_ns)}"
    if summary.cpu_ns and story.length_ns:
        figures += f"; {summary_text.cpu_text(summary.cpu_ns, story.length_ns)}"
    state = _STATES.get(recording.status, recording.status)
    return Description(
        None if command is None else cut(command.title, 2 * _WIDTH),
        figures if command is None else summary_text.figures(summary, command),
        command is not None and bool(command.exit_code or command.signal),
        f"{about or _when(recording)}; {state}",
        tuple(line for line in _lines(story) if line.items or line.note),
    )


def _when(recording: Recording) -> str:
    zone = recording.time_zone
    began, until = (units.zoned_moment(ns, zone) for ns in (recording.started_ns, recording.until_ns))
    name = f" ({recording.name})" if recording.name else ""
    return f"Recording {recording.id}{name} of {recording.machine_name}, {began} to {until}"


def _lines(story: Story) -> Iterator[Line]:
    summary, report = story.summary, story.report
    last = _processes(summary.last_failures[-1:], lambda process: process.outcome)
    around = ", ".join(f"in {each}" for each in summary_text.failed_around(summary))
    yield Line("Likely cause", last, around, "failures", is_bad=True)
    failed = _processes(summary.failed, lambda process: process.outcome)
    rest = summary.failures - len(failed)
    more = f"and {rest:,} more" if rest > 0 else ""
    title = f"First of {summary.failures:,} failures" if rest > 0 else "Failed"
    yield Line(title, failed, more, "failures", is_bad=bool(failed) and not last)
    if not summary.failures:
        yield Line("Failed", note="nothing", query="failures")
    if report is not None:
        yield Line("Decided how long it took", tuple(_path(report)), is_path=True)
        yield Line(
            "Waiting, without a living child",
            note="; ".join(report_text.waiting_lines(report)).removeprefix("of the waiting: "),
            query="waiting",
        )
    slowest = _processes(summary.slowest, lambda it: units.duration(it.active_ns or 0))
    yield Line("Slowest, without a living child", slowest, "", "lifetimes")
    yield Line("Most CPU time", _processes(summary.most_cpu, lambda it: units.duration(it.cpu_ns or 0)), "", "busiest")
    yield Line("Most memory", _processes(summary.most_memory, lambda it: units.size(it.max_rss_kib or 0)), "", "memory")
    yield Line("Costs", note="; ".join(summary_text.cost_lines(summary)).removeprefix("costs: "))
    running = summary.still_running - len(summary.running)
    more = f"and {running:,} more" if running > 0 else ""
    yield Line("Still running", _processes(summary.running, lambda it: f"pid {it.pid}"), more, "running")
    yield _lost(story.recording)
    if report is None:
        yield Line(
            "Not computed", note=f"what decided how long it took: there are more than {MOST_REPORTED:,} processes"
        )


def _lost(recording: Recording) -> Line:
    caveat = recording.caveat
    return Line("Lost", note=caveat or "no event", query="losses", is_bad=bool(caveat))


def _path(report: Report) -> Iterable[Item]:
    """Yields the activities with the largest shares of the critical path."""
    whole = max(report.wall_ns, 1)

    def item(share: PathShare) -> Item:
        count = len(share.process_ids)
        text = share.title if count == 1 else f"{count:,} x {share.title}"
        detail = f"{share.time_ns / whole:.0%}, {units.duration(share.time_ns)}"
        if share.cpu_ns is not None:
            waiting = "mostly waiting, " if share.is_mostly_waiting else ""
            detail += f", {waiting}CPU {units.duration(share.cpu_ns)}"
        return Item(cut(text, _WIDTH), detail, share.process_ids[0] if count == 1 else None)

    shown = [share for share in report.path_shares[:_SHARES] if share.time_ns * 100 >= whole]
    return map(item, shown or report.path_shares[:1])


def _processes(processes: Sequence[ProcessDetails], detail: Callable[[ProcessDetails], str]) -> tuple[Item, ...]:
    return tuple(Item(cut(each.title, _WIDTH), detail(each), each.id) for each in processes)
