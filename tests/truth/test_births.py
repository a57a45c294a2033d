"""How processes start: each way to make one, with the right parent; and threads, which are not processes."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fates import Fate, Query, check, now, reap, row_of, run_child, run_program
from support import DEADLINE_SECONDS, MS, PROCESSES, RAW_EVENTS, Recorder, wait_until

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]


THREADS = """
import ctypes, os, sys, threading, time
mode = sys.argv[1]
libc = ctypes.CDLL(None)
def work():
    time.sleep(0.05)
    if mode == "exec":
        os.execv("/bin/true", ["true", "from", "a", "thread"])
    if mode == "leader":
        libc.syscall(231, 9)  # exit_group of x86-64; elsewhere the exit code is another
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
if mode == "leader": libc.pthread_exit(None)
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("mode", ["join", "exec", "leader"])
def test_threads_are_not_processes(mode: str, start_recorder: Start, query: Query) -> None:
    """There is one row, which ends with the last thread: if all join, if a thread execs, if the leader ends first."""
    recorder = start_recorder()
    fate = run_program(sys.executable, "-c", THREADS, mode)
    recorder.end()
    row = row_of(query, fate)
    check(row, fate)
    assert row["lifetime_ns"] > 50 * MS
    assert query("SELECT * FROM forks WHERE ppid = ?", fate.pid) == []
    if mode == "exec":
        assert (row["comm"], row["args"], row["execs"]) == ("true", "true from a thread", 2)


def test_orphans_keep_the_parent_of_their_fork(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()
    reading, writing = os.pipe()

    def daemonize() -> None:
        parent = os.getpid()
        if os.fork() == 0:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while os.getppid() == parent and time.monotonic() < deadline:
                time.sleep(0.001)
            os.write(writing, f"{os.getpid()} {parent} {os.getppid()}".encode())
            os._exit(0)

    run_child(daemonize)
    pid, parent, adopter = map(int, os.read(reading, 100).split())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the orphan is not reaped")
    recorder.end()
    [row] = query(f"SELECT * FROM {PROCESSES} WHERE pid = ? AND ppid = ?", pid, parent)
    assert row["end_ppid"] == adopter


def test_threads_that_come_and_go(act: str, start_recorder: Start, query: Query) -> None:
    """clone() with CLONE_THREAD makes no row and no event under any of the threads' ids."""
    recorder = start_recorder()
    before = now()
    child = subprocess.Popen([act, "threads", "50"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    threads = [int(line) for line in child.stdout.read().split()]
    fate = reap(child.pid, before)
    child.returncode = 0
    recorder.end()
    assert len(threads) == 50
    check(row_of(query, fate), fate)
    places = ", ".join("?" * len(threads))
    sql = f"SELECT * FROM {RAW_EVENTS} WHERE pid IN ({places}) AND time_ns BETWEEN ? AND ?"
    assert query(sql, *threads, fate.before_ns, fate.after_ns) == []
    sql = "SELECT * FROM frees WHERE pid = ? AND start_ns BETWEEN ? AND ?"
    assert len(query(sql, fate.pid, fate.before_ns, fate.after_ns)) <= 1


@pytest.mark.parametrize("way", ["vfork", "posix_spawn", "fork"])
def test_ways_to_start_a_program(way: str, act: str, start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()
    if way == "vfork":
        caller = subprocess.Popen([act, "vfork"], stdout=subprocess.PIPE, text=True)
        fate = Fate.of_line(caller.communicate()[0])
        ppid, args = caller.pid, "true 'by vfork'"
    elif way == "posix_spawn":
        fate, ppid, args = run_program("/bin/true", "by spawn"), os.getpid(), "/bin/true 'by spawn'"
    else:
        fate = run_child(lambda: os.execv("/bin/true", ["true", "by fork"]))
        ppid, args = os.getpid(), "true 'by fork'"
    recorder.end()
    row = row_of(query, fate)
    check(row, fate, ppid)
    assert (row["comm"], row["filename"], row["args"], row["execs"]) == ("true", "/bin/true", args, 1)
    [parent] = query("SELECT pid FROM processes WHERE id = ?", row["parent_id"])
    assert parent["pid"] == ppid


def test_clone_parent(act: str, start_recorder: Start, query: Query) -> None:
    """CLONE_PARENT: the new process gets the parent of its creator as parent."""
    recorder = start_recorder()
    before = now()
    caller = subprocess.Popen([act, "give-away"], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    given = reap(int(caller.stdout.readline()), before)
    own = reap(caller.pid, before)
    caller.returncode = 0
    recorder.end()
    check(row_of(query, given), given)
    check(row_of(query, own), own)
    assert row_of(query, given)["exit_code"] == 21


def test_a_new_pid_namespace(start_recorder: Start, query: Query) -> None:
    """The process has pid 1 in its namespace. The recording has its pid in the first namespace."""
    recorder = start_recorder()
    reading, writing = os.pipe()

    def enter() -> None:
        assert ctypes.CDLL(None).unshare(0x20000000) == 0  # CLONE_NEWPID
        before = now()
        pid = os.fork()
        if pid == 0:
            os._exit(os.getpid() + 40)
        fate = reap(pid, before)
        os.write(writing, json.dumps([os.getpid(), vars(fate)]).encode())

    run_child(enter)
    parent, inner = json.loads(os.read(reading, 4096))
    recorder.end()
    row = row_of(query, Fate(**inner))
    check(row, Fate(**inner), parent)
    assert row["exit_code"] == 41
