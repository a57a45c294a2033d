"""The summary of a recorded command as text. `webpf record -- COMMAND` prints it at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..analysis.command_summary import SHOWN, CommandSummary, ProcessDetails
from ..output import command_label
from ..output.units import byte_size, duration, size

WIDTH = 50  # the most characters of a command line


def lines(summary: CommandSummary) -> Iterator[str]:
    """Yields the lines of the summary; none if it has no command."""
    if summary.command is None:
        return
    yield total(summary, summary.command)
    yield from cost_lines(summary)
    active = "slowest (time without a living child)"
    yield from _listed(active, summary.slowest, lambda process: duration(process.active_ns or 0))
    yield from _listed("most CPU", summary.most_cpu, lambda process: duration(process.cpu_ns or 0))
    known = "most memory (processes whose own peak is known)"
    yield from _listed(known, summary.most_memory, lambda process: size(process.max_rss_kib or 0))
    yield from _listed(f"failed: {summary.failures:,}, first", summary.failed, _outcome)
    if summary.last_failures:
        last = _with_outcome(summary.last_failures[-1])
        yield f"likely cause: {', in '.join([last, *failed_around(summary)])}"
    still = f"STILL RUNNING: {summary.still_running:,}"
    yield from _listed(still, summary.running, lambda process: f"(pid {process.pid})")


def failed_around(summary: CommandSummary) -> list[str]:
    """Returns in what the last failure was, the nearest first: processes that failed later because of it."""
    return [_with_outcome(process) for process in summary.last_failures[:-1][::-1][: SHOWN - 1]]


def total(summary: CommandSummary, command: ProcessDetails) -> str:
    """Returns the first line: the command, how it ended, how many processes it had, and their CPU time."""
    return f"{_short(command)}: {figures(summary, command)}"


def figures(summary: CommandSummary, command: ProcessDetails) -> str:
    """Returns the first line without the command."""
    wall_ns = command.lifetime_ns
    parts = [command.outcome + (f" after {duration(wall_ns)}" if wall_ns else "")]
    parts.append(process_count(summary.processes))
    if summary.cpu_ns:
        parts.append(cpu_text(summary.cpu_ns, wall_ns))
    return "; ".join(parts)


def process_count(number: int) -> str:
    """Returns a number of processes in words."""
    return f"{number:,} process{'' if number == 1 else 'es'}"


def cpu_text(cpu_ns: int, wall_ns: int | None) -> str:
    """Returns a CPU time, and how many cores it kept busy for a time, if that is known."""
    busy = f" ({cpu_ns / wall_ns:.1f} cores busy)" if wall_ns else ""
    return f"CPU {duration(cpu_ns)}{busy}"


def cost_lines(summary: CommandSummary) -> Iterator[str]:
    """Yields a line with the sums of the costs, as far as they are known; none if nothing is known."""
    costs = summary.costs
    parts = []
    if costs.user_ns is not None and costs.system_ns is not None:
        parts.append(f"user {duration(costs.user_ns)}, system {duration(costs.system_ns)}")
    if costs.read_bytes is not None and costs.write_bytes is not None:
        parts.append(f"read {byte_size(costs.read_bytes)}, wrote {byte_size(costs.write_bytes)}")
    if costs.run_delay_ns is not None:
        parts.append(f"waited {duration(costs.run_delay_ns)} for a processor")
    without = process_count(summary.costs_unknown)
    if parts:
        bound = f" (lower bound, without {without})" if summary.costs_unknown else ""
        yield f"costs{bound}: {'; '.join(parts)}"


def _listed(title: str, processes: Sequence[ProcessDetails], value: Callable[[ProcessDetails], str]) -> Iterator[str]:
    if processes:
        yield f"{title}: {'; '.join(f'{_short(process)} {value(process)}' for process in processes)}"


def _outcome(process: ProcessDetails) -> str:
    return f"({process.outcome})"


def _with_outcome(process: ProcessDetails) -> str:
    return f"{_short(process)} {_outcome(process)}"


def _short(process: ProcessDetails) -> str:
    return command_label.cut(process.title, WIDTH)
