"""Pairing of events: examples, and random events of a simulated machine, compared with a simple, slow model."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import at, exec_, exit_, fork, free, seen, usage, vanished

from webpf.model.events import TICK_NS, Event, Exec, Exit, Fork, Free, Seen, Usage, Vanished
from webpf.model.pairing import Pairing
from webpf.model.process import COSTS, EXITED, LOST, NO_COSTS, RUNNING, Process

FIELDS = (
    "id", "pid", "start_ns", "state", "ppid", "parent_id", "end_ns", "end_ppid", "status", "comm", "command_id",
    "execs", "uid", "cgroup_id", "max_rss_kib", "kernel", "freed_ns",
)  # fmt: skip
Row: TypeAlias = dict[str, Any]


def row(process: Process) -> Row:
    """Returns what is known of a process now."""
    costs = dict(zip(COSTS, process.costs, strict=True))
    return costs | {name: getattr(process, name) for name in FIELDS}


def pair(*events: Event) -> list[Process]:
    """Returns the processes of these events, by id. The ids of events begin with 1."""
    pairing = Pairing()
    pairing.feed(events, 1)
    return list(pairing.take_changed())


def owners(*events: Event) -> list[int]:
    """Returns the id of each event's process."""
    return Pairing().feed(events, 1)


# Examples


def test_a_pairing_is_freed_at_once() -> None:
    """Garbage collection is rare in a recorder, which begins a pairing with each segment of a chain."""
    pairing = Pairing()
    pairing.feed([fork(100, 0), exec_(100, 0, 1), exit_(100, 0, 9), free(100, 0, 9)], 1)
    known = weakref.ref(pairing)
    gc.disable()
    try:
        del pairing
        assert known() is None
    finally:
        gc.enable()


def test_a_whole_life() -> None:
    [process] = pair(
        fork(100, 0, ppid=50, comm="bash", uid=7),
        exec_(100, 0, 1, argv=b"/bin/ls\0-l\0", comm="ls"),
        exit_(100, 0, 5, status=256, comm="ls", ppid=50),
        free(100, 0, 6, cpu_ms=2, status=256),
    )
    assert row(process) == {
        "id": 1, "pid": 100, "start_ns": at(0), "state": EXITED, "ppid": 50, "parent_id": None, "end_ns": at(5),
        "end_ppid": 50, "status": 256, "comm": "ls", "command_id": 2,
        "execs": 1, "uid": 1000, "cgroup_id": 1, "max_rss_kib": 2000, "kernel": 0,
        "freed_ns": at(6), "cpu_ns": 2_000_000, "user_ns": 1_500_000, "system_ns": 500_000, "minor_faults": 2,
        "major_faults": 3, "voluntary_switches": 5, "involuntary_switches": 7, "read_bytes": 512, "write_bytes": 4096,
        "run_delay_ns": 11,
    }  # fmt: skip


def test_what_a_running_process_has_cost() -> None:
    [process] = pair(fork(100, 0), usage(100, 0, 9, cpu_ms=4))
    expected = usage(100, 0, 9, cpu_ms=4)
    assert dict(zip(COSTS, process.costs, strict=True)) == {cost: getattr(expected, cost) for cost in COSTS}
    assert (process.state, process.freed_ns, process.max_rss_kib) == (RUNNING, None, 3000)


def test_what_a_process_cost_in_the_end_is_never_replaced() -> None:
    """A line of another stream may come late."""
    [process] = pair(fork(100, 0), exit_(100, 0, 5), usage(100, 0, 4))
    assert (process.costs, process.max_rss_kib) == (NO_COSTS, 2000)
    assert owners(fork(100, 0), exit_(100, 0, 5), free(100, 0, 6), usage(100, 0, 4), usage(7, 0, 4)) == [1, 1, 1, 0, 0]


def test_a_process_that_never_execs_keeps_its_parents_name() -> None:
    [process] = pair(fork(100, 0, comm="bash"), exit_(100, 0, 5, comm="bash"))
    assert (process.comm, process.execs, process.command_id) == ("bash", 0, None)


def test_a_name_that_changed_later_is_the_one_at_the_end() -> None:
    [process] = pair(fork(100, 0, comm="bash"), exit_(100, 0, 5, comm="worker 3"))
    assert process.comm == "worker 3"


def test_the_last_program_of_a_chain_counts() -> None:
    [process] = pair(
        fork(100, 0, comm="make"),
        exec_(100, 0, 1, argv=b"/bin/sh\0", comm="sh"),
        exec_(100, 0, 2, argv=b"/usr/bin/env\0", comm="env"),
        exec_(100, 0, 3, argv=b"/usr/bin/python3\0", comm="python3"),
    )
    assert (process.execs, process.comm, process.command_id) == (3, "python3", 4)
    assert process.state == RUNNING


def test_a_reused_pid_is_another_process() -> None:
    first, second = pair(
        fork(100, 0), exit_(100, 0, 1, status=256), free(100, 0, 2, status=256), fork(100, 3), exit_(100, 3, 9)
    )
    assert (first.id, first.start_ns, first.end_ns, first.status) == (1, at(0), at(1), 256)
    assert (second.id, second.start_ns, second.end_ns, second.status) == (4, at(3), at(9), 0)


def test_a_free_after_its_pid_was_reused_belongs_to_the_first_process() -> None:
    events = fork(100, 0), exit_(100, 0, 1), fork(100, 2), free(100, 0, 3, cpu_ms=1), exit_(100, 2, 4), free(100, 2, 5)
    assert owners(*events) == [1, 1, 3, 1, 3, 3]
    first, second = pair(*events)
    assert (first.state, first.costs[0]) == (EXITED, 1_000_000)
    assert (second.state, second.end_ns) == (EXITED, at(4))


def test_the_second_process_of_a_pid_may_be_freed_before_the_first() -> None:
    events = fork(100, 0), exit_(100, 0, 1), fork(100, 2), exit_(100, 2, 3), free(100, 2, 4), free(100, 0, 5)
    assert owners(*events) == [1, 1, 3, 3, 3, 1]


def test_an_exit_without_a_fork_still_has_the_true_lifetime() -> None:
    [process] = pair(exit_(100, -5000, 5, comm="daemon", ppid=3))
    assert (process.state, process.start_ns, process.end_ns) == (EXITED, at(-5000), at(5))
    assert (process.ppid, process.end_ppid, process.comm) == (3, 3, "daemon")
    assert (process.execs, process.command_id, process.uid, process.kernel) == (None, None, None, None)


def test_a_fork_without_an_exit_is_lost_when_its_pid_is_reused() -> None:
    first, second = pair(fork(100, 0), fork(100, 7))
    assert (first.state, first.end_ns, first.status) == (LOST, None, None)
    assert second.state == RUNNING


def test_a_fork_without_an_exit_is_lost_when_it_is_freed() -> None:
    [process] = pair(fork(100, 0), free(100, 0, 9, cpu_ms=4, status=9))
    assert (process.state, process.end_ns) == (LOST, None)
    assert (process.status, process.costs[0]) == (9, 4_000_000)


def test_the_status_of_the_exit_has_priority_over_the_free() -> None:
    [process] = pair(fork(100, 0), exit_(100, 0, 1, status=9), free(100, 0, 2, status=256))
    assert process.status == 9


def test_a_process_that_is_lost_by_reuse_still_gets_its_cpu_time() -> None:
    first, _ = pair(fork(100, 0), fork(100, 7), free(100, 0, 9, cpu_ms=4, status=256))
    assert (first.state, first.status, first.costs[0]) == (LOST, 256, 4_000_000)


def test_an_exec_without_a_fork() -> None:
    [process] = pair(exec_(100, 0, 1, comm="true"))
    assert (process.start_ns, process.execs, process.ppid, process.comm) == (at(0), 1, None, "true")


def test_a_free_of_a_process_that_exited_before_has_no_process() -> None:
    assert owners(free(100, -5, 1)) == [0]
    assert pair(free(100, -5, 1)) == []
    assert owners(fork(100, 0), free(100, -5, 1), exit_(100, 0, 2)) == [1, 0, 1]


def test_the_second_of_two_exits_is_dropped() -> None:
    events = fork(100, 0), exit_(100, 0, 5, status=9, ppid=2), exit_(100, 0, 6, status=0, comm="other", ppid=1)
    assert owners(*events) == [1, 1, 1]
    [process] = pair(*events)
    assert (process.end_ns, process.status, process.comm, process.end_ppid) == (at(5), 9, "true", 2)


def test_an_orphan_has_another_parent_at_the_end() -> None:
    [process] = pair(fork(100, 0, ppid=50), exit_(100, 0, 5, ppid=1))
    assert (process.ppid, process.end_ppid) == (50, 1)


def test_a_child_knows_the_row_of_its_parent() -> None:
    parent, child = pair(fork(50, 0), fork(100, 1, ppid=50, parent_ms=0))
    assert (parent.parent_id, child.parent_id) == (None, parent.id)


def test_an_earlier_process_with_the_parents_pid_is_not_the_parent() -> None:
    _, child = pair(fork(50, 0), fork(100, 9, ppid=50, parent_ms=8))
    assert (child.ppid, child.parent_id) == (50, None)


def test_a_process_from_before_the_recording() -> None:
    [process] = pair(seen(100, -50, ppid=3, comm="nginx", argv=b"nginx\0"))
    assert (process.state, process.start_ns, process.ppid) == (RUNNING, at(-50), 3)
    assert (process.comm, process.command_id, process.knows_program, process.execs) == ("nginx", 1, True, 1)


@pytest.mark.parametrize("after_tick", [0, 0.000001, 3.7, 9.999999])
def test_its_start_becomes_exact_with_its_first_event(after_tick: float) -> None:
    start = -50 + after_tick
    [process] = pair(seen(100, -50), exit_(100, start, 5), free(100, start, 6))
    assert (process.id, process.state, process.start_ns) == (1, EXITED, at(start))


@pytest.mark.parametrize("start", [-40, 0])
def test_a_start_in_another_tick_is_another_process(start: float) -> None:
    first, second = pair(seen(100, -50), exit_(100, start, 5))
    assert (first.state, first.start_ns) == (LOST, at(-50))
    assert (second.state, second.start_ns) == (EXITED, at(start))


def test_a_childs_fork_makes_the_start_of_its_parent_exact() -> None:
    """The parent counts as changed too, although the event is of its child."""
    pairing = Pairing()
    pairing.feed([seen(50, -100)], 1)
    pairing.take_changed()
    pairing.feed([fork(100, 1, ppid=50, parent_ms=-96.5)], 2)
    assert [(p.id, p.start_ns, p.parent_id) for p in pairing.take_changed()] == [(1, at(-96.5), None), (2, at(1), 1)]


def test_a_free_finds_an_older_process_whose_pid_was_reused() -> None:
    events = seen(100, -50), fork(100, 5), free(100, -47, 6, cpu_ms=3)
    assert owners(*events) == [1, 2, 1]
    first, _ = pair(*events)
    assert (first.state, first.start_ns, first.costs[0]) == (LOST, at(-47), 3_000_000)


def test_a_fork_that_comes_after_the_process_was_seen_in_proc() -> None:
    """What /proc said of it is in later events too, and is not counted twice."""
    events: list[Event] = [
        seen(100, 10, comm="make", argv=b"make\0"),
        fork(100, 12.5, comm="sh", uid=33),
        exec_(100, 12.5, 13, b"/bin/sh\0", "sh"),
        exec_(100, 12.5, 14, b"make\0", "make"),
    ]
    for known, (execs, comm, command_id, uid) in enumerate(
        [(1, "make", 1, 0), (0, "sh", None, 33), (1, "sh", 3, 1000), (2, "make", 4, 1000)], 1
    ):
        [process] = pair(*events[:known])
        assert (process.execs, process.comm, process.command_id, process.uid) == (execs, comm, command_id, uid)
    assert (process.id, process.start_ns) == (1, at(12.5))


def test_the_end_of_an_earlier_process_is_not_that_of_the_one_seen_in_proc() -> None:
    """/proc is read after the BPF programs are attached, so events from before the reading come after it."""
    now, earlier = pair(seen(100, -50), exit_(100, -50.000001, -50))
    assert (now.state, now.start_ns, earlier.state, earlier.end_ns) == (RUNNING, at(-50), EXITED, at(-50))


def test_a_parent_seen_before_its_child() -> None:
    parent, child = pair(seen(50, -100), seen(100, -50, ppid=50))
    assert (parent.parent_id, child.parent_id) == (None, parent.id)


def test_a_younger_process_is_not_the_parent() -> None:
    """/proc has only the ppid, without the parent's start, so the pid may have been reused."""
    _, child = pair(seen(50, -40), seen(100, -50, ppid=50))
    assert child.parent_id is None


def test_a_vanished_process_without_an_exit_is_lost() -> None:
    [process] = pair(fork(100, 0), vanished(100, 0, 50))
    assert (process.state, process.end_ns) == (LOST, None)


def test_vanished_after_an_exit_changes_nothing() -> None:
    [process] = pair(fork(100, 0), exit_(100, 0, 5), vanished(100, 0, 50))
    assert (process.state, process.end_ns) == (EXITED, at(5))


def test_vanished_of_an_unknown_process_has_no_process() -> None:
    assert owners(fork(100, 0), vanished(100, -3, 50), vanished(101, 0, 50)) == [1, 0, 0]


def test_a_start_is_exact_if_the_kernel_told_it() -> None:
    """Also if it is a multiple of 10 ms. What /proc shows later says nothing new about it."""
    assert pair(seen(100, 10))[0].exact == 0
    assert pair(seen(100, 10), usage(100, 10, 50))[0].exact == 0
    assert pair(seen(100, 10), vanished(100, 10, 50))[0].exact == 0
    for start_ms in (10, 13.5):
        assert pair(seen(100, 10), exit_(100, start_ms, 20))[0].exact == 1
        assert pair(seen(100, 10), exec_(100, start_ms, 20))[0].exact == 1
    assert pair(fork(100, 13.5), seen(100, 10))[0].exact == 1


def test_the_peak_of_a_process_that_runs_is_not_below_what_its_last_program_left() -> None:
    [process] = pair(fork(100, 0), exec_(100, 0, 1)._replace(carried_rss_kib=5000), usage(100, 0, 9))
    assert (process.carried_rss_kib, process.max_rss_kib) == (5000, 5000)
    [process] = pair(fork(100, 0), exec_(100, 0, 1), usage(100, 0, 9))
    assert (process.carried_rss_kib, process.max_rss_kib) == (500, 3000)


def test_kernel_threads_are_marked_until_they_call_execve() -> None:
    thread, helper = pair(
        fork(100, 0, kernel=1), fork(101, 0, kernel=1), exec_(101, 0, 1, argv=b"/sbin/modprobe\0", comm="modprobe")
    )
    assert (thread.kernel, helper.kernel) == (1, 0)


def test_changes_are_returned_once_and_in_order() -> None:
    pairing = Pairing()
    pairing.feed([fork(102, 0), fork(101, 1), fork(100, 2)], 7)
    assert [process.id for process in pairing.take_changed()] == [7, 8, 9]
    assert list(pairing.take_changed()) == []
    pairing.feed([exit_(100, 2, 3), exit_(102, 0, 4), exit_(102, 0, 5)], 10)
    assert [process.id for process in pairing.take_changed()] == [7, 9]


def test_running_and_unfreed() -> None:
    pairing = Pairing()
    pairing.feed([fork(100, 0), fork(101, 1), exit_(101, 1, 2), fork(101, 3), fork(102, 4), free(102, 4, 5)], 1)
    assert [process.id for process in pairing.running()] == [1, 4]
    assert [process.id for process in pairing.unfreed()] == [2]
    pairing.feed([free(101, 1, 6)], 7)
    assert pairing.unfreed() == []


# A simulated machine

Key: TypeAlias = tuple[int, int]
"""Identifies a process: pid and exact start."""

PIDS = (2, 3, 4, 5)
T = TypeVar("T")


@dataclass
class Machine:
    """A machine with few pids and the kernel's rules: a pid is reused after a reap, and the free may come later.

    log: the events of all kinds that were not lost, each with its true process.
    """

    log: list[tuple[Key, Event]] = field(default_factory=list)
    running: list[Key] = field(default_factory=list)
    zombies: list[Key] = field(default_factory=list)
    reaped: list[Key] = field(default_factory=list)
    begun: dict[Key, int] = field(default_factory=dict)  # the kernel's number of programs begun
    held: dict[Key, Fork] = field(default_factory=dict)  # forks that were not reported so far
    is_filtered: bool = False
    now: float = 0

    def log_event(self, key: Key, event: Event, lost: bool) -> None:
        self.now += 11  # ms: more than a tick, so that two processes of a pid have different starts in /proc
        if not lost:
            self.log.append((key, event))

    def find(self, choice: int, lost: bool) -> None:
        """Adds a process from before the recording, younger than the others. Only possible at the start."""
        floor = at(-1000 + 10 * len(self.running))
        key = (PIDS[len(self.running)], floor + (choice * 1_234_567) % TICK_NS)
        ppid = self.running[choice % len(self.running)][0] if self.running else 0
        found = seen(key[0], 0, ppid, f"found {choice}", b"found\0" if choice % 3 else None, kernel=choice % 2)
        self.running.append(key)
        self.log_event(key, found._replace(start_ns=floor, uid=choice, cgroup_id=choice or None), lost)

    def fork(self, choice: int, lost: bool) -> None:
        used = {pid for pid, _ in (*self.running, *self.zombies)}
        # A pid gets its third process only after the first was freed. That takes some milliseconds in reality.
        unfreed = [pid for pid, _ in self.reaped]
        pids = [pid for pid in PIDS if pid not in used and unfreed.count(pid) < 2]
        if pids:
            key = (pids[choice % len(pids)], at(self.now))
            ppid, parent_start = self.running[choice % len(self.running)] if self.running else (1, at(-5000))
            forked = fork(key[0], self.now, ppid, comm=f"fork {choice}", uid=choice, kernel=choice % 2)
            begun = self.begun[key] = 3 if choice == 7 else 0  # as with CLONE_PARENT
            forked = forked._replace(parent_start_ns=parent_start, cgroup_id=choice, execs=0, begun=begun)
            self.running.append(key)
            if self.is_filtered and choice % 4 == 1:
                self.held[key] = forked
                self.now += 11
            else:
                self.log_event(key, forked, lost)

    def join(self, key: Key, lost: bool) -> None:
        """Reports the fork of a process that matches now."""
        forked = self.held.pop(key, None)
        if forked is not None:
            self.log_event(key, forked, lost)

    def exec(self, choice: int, lost: bool) -> None:
        if self.running:
            key = self.running[choice % len(self.running)]
            self.begun[key] = self.begun.get(key, 9) + 1
            if key in self.held and choice % 2:
                forked = self.held[key]
                self.held[key] = forked._replace(
                    execs=(forked.execs or 0) + 1, begun=self.begun[key], comm=f"unseen {choice}"
                )
                return
            self.join(key, lost)
            execed = exec_(key[0], 0, self.now, argv=b"/bin/%d\0" % choice, comm=f"exec {choice}")
            self.log_event(key, execed._replace(start_ns=key[1], uid=choice, cgroup_id=choice + 1), lost)

    def exit(self, choice: int, lost: bool) -> None:
        if self.running:
            key = self.running.pop(choice % len(self.running))
            self.join(key, lost)
            self.zombies.append(key)
            self.log_event(key, self._exit(key, choice), lost)

    def exit_again(self, choice: int, lost: bool) -> None:
        if self.zombies:
            key = self.zombies[choice % len(self.zombies)]
            self.log_event(key, self._exit(key, choice + 1), lost)

    def reap(self, choice: int, lost: bool) -> None:
        if self.zombies:
            self.reaped.append(self.zombies.pop(choice % len(self.zombies)))

    def free(self, choice: int, lost: bool) -> None:
        # Of two processes of one pid, the first is freed first.
        first = [key for i, key in enumerate(self.reaped) if key[0] not in {pid for pid, _ in self.reaped[:i]}]
        if first:
            key = first[choice % len(first)]
            self.reaped.remove(key)
            freed = free(key[0], 0, self.now, cpu_ms=choice, status=choice * 256)
            self.log_event(key, freed._replace(start_ns=key[1]), lost)

    def _exit(self, key: Key, choice: int) -> Exit:
        ended = exit_(key[0], 0, self.now, status=choice * 256, comm=f"exit {choice}", ppid=choice)
        begun = self.begun.get(key, 9)
        if choice in (2, 3, 6):  # killed by a signal, in the last two cases by an exec that failed late
            ended = ended._replace(status=11)
            begun += choice != 2
        return ended._replace(start_ns=key[1], max_rss_kib=choice, uid=choice + 50, begun=begun)

    def is_running(self, pid: int, start_ns: int) -> bool:
        """start_ns: exact, or as in /proc."""
        return any(owner == pid and 0 <= start - start_ns < TICK_NS for owner, start in self.running)


KINDS: tuple[Callable[[Machine, int, bool], None], ...] = (
    Machine.reap, Machine.reap, Machine.fork, Machine.fork, Machine.fork, Machine.exec, Machine.exit,
    Machine.exit_again, Machine.free, Machine.free,
)  # fmt: skip
STEP = st.integers(0, len(KINDS) * 4 * 8 - 1)


@st.composite
def machines(draw: st.DrawFn, frees_are_lost: bool = True) -> Machine:
    """Draws machines after about fifty steps. A step is one number, with its kind, a choice, and whether it is lost."""
    machine = Machine(is_filtered=draw(st.booleans()))
    for number in draw(st.lists(STEP, max_size=len(PIDS) - 1)):
        machine.find(number % 8, lost=number % 5 == 4)
    for number in draw(st.lists(STEP, min_size=40, max_size=60)):
        kind = KINDS[number % len(KINDS)]
        choice, lost = divmod(number // len(KINDS), 4)
        kind(machine, choice, lost == 3 and (frees_are_lost or kind is not Machine.free))
    return machine


def last(events: Sequence[Any], name: str) -> Any:
    """Returns the latest value of a field."""
    return next((getattr(event, name) for event in reversed(events)), None)


def of(kind: type[T], events: Iterable[Event]) -> list[T]:
    """Returns the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def model(log: list[tuple[Key, Event]]) -> dict[int, Row]:
    """Returns the expected rows by the events of each process. The first event of the log has id 1."""
    groups: dict[Key, list[tuple[int, Event]]] = {}
    for number, (key, event) in enumerate(log, 1):
        groups.setdefault(key, []).append((number, event))
    naming = {key: [n for n, event in group if not isinstance(event, Free)] for key, group in groups.items()}
    ids = {key: numbers[0] for key, numbers in naming.items() if numbers}
    mentioned = {(event.ppid, event.parent_start_ns) for _, event in log if isinstance(event, Fork)}
    return {ids[key]: model_row(key, groups[key], ids, key in mentioned) for key in ids}


def model_row(key: Key, group: list[tuple[int, Event]], ids: dict[Key, int], is_mentioned: bool) -> Row:
    """Returns the row of one process. is_mentioned: whether the fork of a child has its exact start."""
    number, first = group[0]
    events = [event for _, event in group]
    forks, execs, exits, frees = of(Fork, events), of(Exec, events), of(Exit, events)[:1], of(Free, events)
    found = of(Seen, events)
    is_exact = is_mentioned or any(not isinstance(event, Seen) for event in events)
    own_execs = len(execs) + sum(event.execs for event in found) + sum(event.execs or 0 for event in forks)
    is_gone = bool(frees) or any(pid == key[0] and start > key[1] for pid, start in ids)
    commands = [
        None if isinstance(event, Seen) and event.argv is None else number
        for kind in (Seen, Exec)
        for number, event in group
        if isinstance(event, kind)
    ]
    return {
        "id": number,
        "pid": key[0],
        "start_ns": key[1] if is_exact else found[0].start_ns,
        "state": EXITED if exits else LOST if is_gone else RUNNING,
        "ppid": last([*exits, *forks, *found], "ppid"),
        "parent_id": parent_id(first, ids),
        "end_ns": last(exits, "time_ns"),
        "end_ppid": last(exits, "ppid"),
        "status": last([*frees, *exits], "status"),
        "comm": last([*forks, *found, *execs, *(exits if has_run_all(forks, exits, own_execs) else [])], "comm"),
        "command_id": commands[-1] if commands else None,
        "execs": own_execs if forks or found or execs else None,
        "uid": last([*forks, *found, *execs, *exits], "uid"),
        "cgroup_id": last([*forks, *found, *execs], "cgroup_id"),
        "freed_ns": last(frees, "time_ns"),
        **{cost: last(frees, cost) for cost in COSTS},
        "max_rss_kib": last(exits, "max_rss_kib"),
        "kernel": 0 if execs or (own_execs and not found) else last([*forks, *found], "kernel"),
    }


def has_run_all(forks: list[Fork], exits: list[Exit], execs: int) -> bool:
    """Whether it executed all programs that it had begun, as far as is known. Only a signal can prevent that."""
    if not forks or not exits or not exits[0].status & 127:
        return True
    return (exits[0].begun or 0) - (forks[0].begun or 0) <= execs - (forks[0].execs or 0)


def parent_id(first: Event, ids: dict[Key, int]) -> int | None:
    """Returns the row of the parent if it is known, even if that was after this process."""
    if isinstance(first, Fork):
        return ids.get((first.ppid, first.parent_start_ns))
    if isinstance(first, Seen):
        return next((id for (pid, start), id in ids.items() if pid == first.ppid and start < at(0)), None)
    return None


def run(pairing: Pairing, log: list[tuple[Key, Event]], batch: int) -> tuple[list[int], dict[int, Row]]:
    """Feeds the log in batches; returns the process id of each event, and the rows as a database would have them."""
    given_to: list[int] = []
    rows: dict[int, Row] = {}
    for i in range(0, len(log), batch):
        given_to += pairing.feed([event for _, event in log[i : i + batch]], i + 1)
        rows |= {process.id: row(process) for process in pairing.take_changed()}
        for id, parent in pairing.take_links():
            assert rows[id]["parent_id"] is None
            rows[id]["parent_id"] = parent
    return given_to, rows


@settings(max_examples=300)
@given(machines(), st.integers(1, 9))
def test_rows_are_what_the_events_of_each_process_say(machine: Machine, batch: int) -> None:
    pairing = Pairing(machine.is_filtered)
    given_to, rows = run(pairing, machine.log, batch)
    expected = model(machine.log)
    assert rows == expected
    id_of = {key: id for id, (key, _) in enumerate(machine.log, 1) if id in expected}
    assert given_to == [id_of.get(key, 0) for key, _ in machine.log]
    assert {p.id for p in pairing.running()} == {id for id, it in expected.items() if it["state"] == RUNNING}


@settings(max_examples=300)
@given(machines(), st.integers(1, 9), st.randoms())
def test_in_any_order_no_event_goes_to_another_process(machine: Machine, batch: int, dice: Random) -> None:
    """The ring buffer keeps the order. In another order rows may be incomplete, but never mix two processes."""
    log = dice.sample(machine.log * 2, 2 * len(machine.log))
    given_to, rows = run(Pairing(machine.is_filtered), log, batch)
    owners: dict[int, set[Key]] = {}
    for id, (key, _) in zip(given_to, log, strict=True):
        owners.setdefault(id, set()).add(key)
    for id, it in rows.items():
        [key] = owners[id]
        events = [event for owner, event in log if owner == key]
        assert it["pid"] == key[0]
        assert 0 <= key[1] - it["start_ns"] < TICK_NS
        assert it["end_ns"] in {None, *(event.time_ns for event in of(Exit, events))}
        assert it["cpu_ns"] in {None, *(event.cpu_ns for event in of(Free, events))}
        assert it["comm"] in {None, *(event.comm for event in events if not isinstance(event, Free | Vanished | Usage))}
        assert (it["state"] == EXITED) == (it["end_ns"] is not None)


@settings(max_examples=150)
@given(machines(), st.integers(1, 9))
def test_at_the_end_only_what_is_alive_is_running(machine: Machine, batch: int) -> None:
    """At the end of a session, processes that seem to run but are not in /proc are reported as vanished."""
    pairing = Pairing()
    run(pairing, machine.log, batch)
    suspects = [p for p in pairing.running() if not machine.is_running(p.pid, p.start_ns)]
    pairing.feed([Vanished(at(machine.now), p.pid, p.start_ns) for p in suspects], len(machine.log) + 1)
    assert all(p.state == LOST for p in suspects)
    assert {p.id for p in pairing.take_changed()} == {p.id for p in suspects}
    expected = model(machine.log)
    truly_running = {id for id, (key, _) in enumerate(machine.log, 1) if id in expected and key in machine.running}
    assert {p.id for p in pairing.running()} == truly_running


@settings(max_examples=150)
@given(machines(frees_are_lost=False))
def test_after_all_were_freed_nothing_is_held(machine: Machine) -> None:
    """Frees are not lost here, but other events are."""
    while machine.running:
        machine.exit(0, lost=True)
    while machine.zombies:
        machine.reap(0, lost=False)
    while machine.reaped:
        machine.free(0, lost=False)
    pairing = Pairing()
    run(pairing, machine.log, batch=5)
    assert (pairing._by_pid, pairing._replaced, pairing._changed) == ({}, {}, {})


@settings(max_examples=100)
@given(machines())
def test_at_most_two_processes_of_a_pid_are_held_whatever_is_lost(machine: Machine) -> None:
    pairing = Pairing()
    run(pairing, machine.log, batch=5)
    assert set(pairing._by_pid) | set(pairing._replaced) <= set(PIDS)
    held = [*pairing._by_pid.values(), *pairing._replaced.values()]
    assert len({process.id for process in held}) == len(held)
