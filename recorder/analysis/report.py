"""The story of a recording, line by line: how busy it was, what was alone, what decided the time, what was repeated."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence

from ..model.recording import Recording
from ..output.command_label import cut
from ..output.units import duration
from . import command_summary, process_tree
from .critical_path import Analysis, Stretch
from .process_tree import Node

_STEPS = 60
_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 5
_WIDTH = 70


def lines(connection: sqlite3.Connection, recording: Recording) -> Iterator[str]:
    """A report of a recording: of its command and all that came of it, or of all that was started in it."""
    number = process_tree.command_id(connection, recording)
    nodes = process_tree.members(connection, recording.id, number)
    command = next((node for node in nodes if node.id == number), None)
    start_ns = command.start_ns if command else recording.started_ns
    end_ns = (command.end_ns if command else None) or recording.until_ns
    if command:
        yield from command_summary.lines(connection, recording)
    else:
        yield f"{len(nodes):,} processes started in {duration(end_ns - start_ns)}"
    if not nodes:
        return
    analysis = Analysis(nodes, start_ns, end_ns)
    yield from _busy(analysis)
    yield from _listed("alone, while nothing else of it ran", _stretches(analysis.alone(), analysis))
    yield from _listed("the critical chain, who one after another decided the time", _chain(analysis))
    yield from _listed("the same again, in the same place", _repeated(nodes))
    costs = _Costs(nodes)
    yield costs.whole
    yield from _listed("by what they did (CPU time; waiting)", costs.lines())


def _busy(analysis: Analysis) -> Iterator[str]:
    sizes = analysis.parallelism(_STEPS)
    most = max(sizes)
    if most:
        bars = "".join(_BARS[min(int(size / most * len(_BARS)), len(_BARS) - 1)] if size else " " for size in sizes)
        yield f"side by side: |{bars}| up to {most:.1f}, {sum(sizes) / len(sizes):.1f} on average"


def _listed(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield f"{title}:"
        yield from (f"  {item}" for item in items)


def _stretches(found: Sequence[Stretch], analysis: Analysis) -> list[str]:
    return [
        f"{duration(each.ns):>10}  from {duration(each.start_ns - analysis.start_ns)} on:"
        f" {cut(each.node.title, _WIDTH)}"
        for each in found[:_SHOWN]
    ]


def _chain(analysis: Analysis) -> list[str]:
    """What was done on the critical chain, by the time that it took there."""
    spent: Counter[str] = Counter()
    number: dict[str, set[int]] = {}
    for each in analysis.chain():
        spent[each.node.activity] += each.ns
        number.setdefault(each.node.activity, set()).add(each.node.id)
    whole = analysis.end_ns - analysis.start_ns
    most = sorted(spent, key=lambda name: (-spent[name], name))[:_SHOWN]
    return [f"{duration(spent[name]):>10}  {spent[name] / whole:4.0%}  {len(number[name]):,} x {name}" for name in most]


def _where(place: str) -> str:
    """A path; of a directory whose processes were gone before it was looked up, only numbers are known."""
    return place if place.startswith("/") else "a directory whose path is not known"


def _repeated(nodes: Sequence[Node]) -> list[str]:
    """Command lines that ran more than once in a directory, by what all runs but one took."""
    runs: dict[tuple[bytes, str | None], list[int]] = {}
    lines: dict[bytes, str] = {}
    for node in nodes:
        if node.has_run and node.lifetime_ns is not None:
            runs.setdefault((node.command, node.place), []).append(node.lifetime_ns)
            lines[node.command] = node.line
    again = {key: sum(times) - sum(times) // len(times) for key, times in runs.items() if len(times) > 1}
    most = sorted(again, key=lambda key: (-again[key], lines[key[0]], key[1] or ""))[:_SHOWN]
    return [
        f"{duration(again[command, place]):>10}  {len(runs[command, place]):,} x {cut(lines[command], _WIDTH)}"
        + (f"  in {_where(place)}" if place else "")
        for command, place in most
    ]


class _Costs:
    """What processes took: CPU time, and, of those that started nothing, the time in which they didn't run."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        parents = {node.parent_id for node in nodes}
        self._number: Counter[str] = Counter()
        self._cpu: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        for node in nodes:
            self._number[node.activity] += 1
            self._cpu[node.activity] += node.cpu_ns or 0
            if node.id not in parents and node.lifetime_ns is not None and node.cpu_ns is not None:
                self._waiting[node.activity] += max(node.lifetime_ns - node.cpu_ns, 0)

    @property
    def whole(self) -> str:
        """Of all of them."""
        working, waiting = (duration(sum(of.values())) for of in (self._cpu, self._waiting))
        return f"working: {working} of CPU time; waiting: {waiting}, by those that started nothing and didn't run"

    def lines(self) -> list[str]:
        """The most expensive, by what they did."""
        most = sorted(self._number, key=lambda name: (-self._cpu[name] - self._waiting[name], name))[: 2 * _SHOWN]
        return [
            f"{duration(self._cpu[name]):>10}  {duration(self._waiting[name]):>10} waiting"
            f"  {self._number[name]:,} x {name}"
            for name in most
        ]
