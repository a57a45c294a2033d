"""The story of a recording, line by line: how busy it was, what was alone, what decided the time, what was repeated."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from . import ending, family
from .analysis import Analysis, Stretch
from .family import Node, shortened
from .slices import Row
from .terminal import duration

_STEPS = 60
_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 5
_WIDTH = 70

Costs: TypeAlias = dict[str, list[int]]


def lines(connection: sqlite3.Connection, about: Row) -> Iterator[str]:
    """A report of a recording: of its command and all that came of it, or of all that was started in it."""
    everybody = list(family.read(connection, about["id"]))
    command = next((node for node in everybody if node.id == family.command_id(connection, about["id"])), None)
    nodes = _offspring(everybody, command.id) if command else [node for node in everybody if not node.is_old]
    start_ns = command.start_ns if command else about["started_ns"]
    recorded_until = about["ended_ns"] or about["updated_ns"]
    end_ns = (command.end_ns if command else None) or recorded_until
    if command:
        yield from ending.lines(connection, about["id"])
    else:
        yield f"{len(nodes):,} processes started in {duration((end_ns - start_ns) / 1e9)}"
    if not nodes:
        return
    analysis = Analysis(nodes, start_ns, end_ns)
    yield from _busy(analysis)
    yield from _listed("alone, while nothing else of it ran", _stretches(analysis.alone(), analysis))
    chain = analysis.chain()
    share = sum(each.ns for each in chain) / (analysis.end_ns - analysis.start_ns)
    longest = sorted(chain, key=lambda each: -each.ns)
    title = f"one after another, {len(chain):,} processes took {share:.0%} of the time; the longest of them"
    yield from _listed(title, _stretches(longest, analysis))
    yield from _listed("the same again", _repeated(nodes))
    yield from _listed("by program (own CPU time; working, and waiting for itself)", _programs(nodes))


def _offspring(nodes: Sequence[Node], top: int) -> list[Node]:
    """A process and all that came of it."""
    found = {top}
    for node in nodes:
        if node.parent_id in found:
            found.add(node.id)
    return [node for node in nodes if node.id in found]


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
        f"{duration(each.ns / 1e9):>10}  from {duration((each.start_ns - analysis.start_ns) / 1e9)} on:"
        f" {shortened(each.node.line, _WIDTH)}"
        for each in found[:_SHOWN]
    ]


def _repeated(nodes: Sequence[Node]) -> list[str]:
    """Command lines that ran more than once, by what all runs but one took."""
    runs: dict[str, list[int]] = {}
    for node in nodes:
        if node.lifetime_ns is not None:
            runs.setdefault(node.line, []).append(node.lifetime_ns)
    again = {line: sum(times) - sum(times) // len(times) for line, times in runs.items() if len(times) > 1}
    most = sorted(again, key=lambda line: (-again[line], line))[:_SHOWN]
    return [f"{duration(again[line] / 1e9):>10}  {len(runs[line]):,} x {shortened(line, _WIDTH)}" for line in most]


def _programs(nodes: Sequence[Node]) -> list[str]:
    """By name of the program: own CPU time, and, of those that started nothing, the time in which they didn't run."""
    parents = {node.parent_id for node in nodes}
    number: Counter[str] = Counter()
    cpu: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    for node in nodes:
        number[node.program] += 1
        cpu[node.program] += node.cpu_ns or 0
        if node.id not in parents and node.lifetime_ns is not None and node.cpu_ns is not None:
            waiting[node.program] += max(node.lifetime_ns - node.cpu_ns, 0)
    most = sorted(number, key=lambda name: (-cpu[name] - waiting[name], name))[: 2 * _SHOWN]
    return [
        f"{duration(cpu[name] / 1e9):>10}  {duration(waiting[name] / 1e9):>10} waiting  {number[name]:,} x {name}"
        for name in most
    ]
