"""The status of a running recording: a live line on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from .. import log
from ..capture import min_lifetime
from ..capture.record_options import RecordOptions
from ..capture.recorder import Status, Summary
from ..output import journal, units
from ..output.messages import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class QuietStatus:
    """Shows only messages."""

    shows_status = False
    needed_later: tuple[str, ...] = ()
    """Modules that it imports when the recording has started."""

    def __enter__(self) -> QuietStatus:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def started(self, recording_id: int, others: int) -> None:
        pass

    def status(self, status: Status) -> None:
        pass

    def finishing(self) -> None:
        pass

    def message(self, text: str) -> None:
        say(text, journal.WARNING)


class PlainStatus(QuietStatus):
    """Prints a line at the start: a recording may run for weeks."""

    def __init__(self, options: RecordOptions) -> None:
        self._options = options

    def started(self, recording_id: int, others: int) -> None:
        more = f"; {others} more recording goes to this file" if others else ""
        say(f"recording {recording_id} goes to {self._options.db}, {_until(self._options)}{more}")


class StreamStatus(QuietStatus):
    """Prints a line when the stream starts."""

    def __init__(self, options: RecordOptions) -> None:
        self._options = options

    def started(self, recording_id: int, others: int) -> None:
        say(f"streaming, {_until(self._options)}")


class ReplayStatus(QuietStatus):
    """Prints a line at the start. There is no progress, because the length of the stream isn't known."""

    def __init__(self, options: RecordOptions) -> None:
        self._options = options

    def started(self, recording_id: int, others: int) -> None:
        say(f"recording {recording_id} goes to {self._options.db}, until the stream ends")


class LiveStatus(PlainStatus):
    """Shows a progress bar that is redrawn four times a second and erased at the end."""

    shows_status = True
    needed_later = ("rich.console", "rich.progress")

    def __init__(self, options: RecordOptions) -> None:
        super().__init__(options)
        self._rate = Rate()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def started(self, recording_id: int, others: int) -> None:
        super().started(recording_id, others)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        bounded = self._options.duration is not None
        columns = [BarColumn(bar_width=20), TimeRemainingColumn(), TextColumn("left")] if bounded else []
        self._progress = Progress(
            TextColumn("recording"),
            *columns,
            *([] if bounded else [TimeElapsedColumn()]),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,
        )
        self._task = self._progress.add_task("recording", total=self._options.duration, text="")
        with contextlib.suppress(OSError):
            self._progress.start()

    def status(self, status: Status) -> None:
        if self._progress is None or self._task is None:
            return
        text = describe_status(status, self._rate.update(status))
        with contextlib.suppress(OSError):
            self._progress.update(self._task, completed=status.elapsed, text=text)
            self._progress.refresh()

    def finishing(self) -> None:
        self._stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            with contextlib.suppress(OSError):
                self._progress.stop()
            self._progress = None


class Rate:
    """Computes events per second between one status and the next."""

    def __init__(self) -> None:
        self._before = (0.0, 0)

    def update(self, status: Status) -> float:
        """Returns the events per second since the last call."""
        elapsed, events = self._before
        self._before = (status.elapsed, status.events)
        return (status.events - events) / max(status.elapsed - elapsed, 0.01)


def _until(options: RecordOptions) -> str:
    if options.duration is not None:
        return f"for {options.duration:g} s"
    return "until it is stopped" if journal.is_at() else "until Ctrl-C"


def choose_observer(options: RecordOptions, quiet: bool) -> QuietStatus:
    """Returns the observer that suits stderr: a terminal, or anything else."""
    if quiet:
        return QuietStatus()
    # A line that is redrawn would overwrite log lines.
    return LiveStatus(options) if sys.stderr.isatty() and not log.is_verbose() else PlainStatus(options)


def describe_status(status: Status, rate: float) -> str:
    """Returns the numbers of a status line."""
    lost = f"{status.lost:,} LOST" if status.lost else "none lost"
    return f"{status.processes:,} processes, {rate:,.0f} events/s, {lost}"


def print_summary(summary: Summary) -> None:
    """Prints how many processes a recording has, and whether it is complete: two lines, in the journal one."""
    totals, priority = summary.totals, journal.INFO if summary.complete else journal.WARNING
    if summary.segments > 1:
        say(
            f"{summary.segments:,} segments in {summary.db}, the last is recording {summary.recording_id}:"
            f" {summary.processes:,} processes in {units.duration(summary.seconds * 1e9)};"
            f" {describe_completeness(summary)}",
            priority,
        )
        return
    first = (
        f"recording {summary.recording_id} in {summary.db}: {totals.processes:,} processes in"
        f" {units.duration(summary.seconds * 1e9)} ({totals.exited:,} exited, {totals.running:,} still running"
        + (f", {totals.lost:,} whose exit was lost)" if totals.lost else ")")
    )
    unknown = f"; CPU time of {totals.cpu_unknown:,} unknown" if totals.cpu_unknown else ""
    second = f"failed: {totals.failed:,}; {describe_completeness(summary)}{unknown}"
    if journal.is_at():
        say(f"{first}; {second}", priority)
        return
    say(first)
    longest = ""
    if totals.longest:
        comm, pid, lifetime_ns = totals.longest
        longest = f"longest: {comm} (pid {pid}) {units.duration(lifetime_ns)}; "
    say(longest + second)


def describe_completeness(summary: Summary) -> str:
    """Returns a text that says whether the recording is complete, or what is missing."""
    lost = sum(summary.counts.lost)
    if lost:
        share = lost / sum(summary.counts.attempted)
        return f"LOST {lost:,} events ({share:.1%}): all counts are a lower bound; a larger --buffer-mib helps"
    if summary.is_interrupted:
        return "interrupted: later events are missing"
    if not summary.counts.are_known:
        return "it isn't known whether events were lost"
    if not summary.complete:
        return f"NOT complete: the kernel wrote {summary.counts.arrived} events, {summary.written} arrived"
    return "complete, no event was lost" + describe_kept_short(summary)


def describe_kept_short(summary: Summary) -> str:
    """Returns how many short processes --min-lifetime could not leave out; '' if there are none."""
    number = summary.counts.kept_short
    return (
        f"; has {number:,} processes that ended sooner than --min-lifetime, because the buffer"
        f" of {min_lifetime.BUFFER_BYTES >> 20} MiB was full"
        if number
        else ""
    )
