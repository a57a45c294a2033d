"""The pager: real less and a pager of our own on a terminal; the file is free meanwhile, and rows are red."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
import subprocess
import termios
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import exit_, fork, make_recording, wait_until, webpf_command

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

ROWS = 40


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A recording of processes that succeeded, and one that failed."""
    pids = range(1000, 1000 + ROWS)
    events = [each for pid in pids for each in (fork(pid, pid), exit_(pid, pid, pid + 1, 256 * (pid == 1001)))]
    make_recording(tmp_path / "webpf.db", events, end_ms=3000)
    return tmp_path / "webpf.db"


def on_terminal(db: Path, *arguments: str, lines: int = 24, **variables: str) -> str:
    """Returns what a terminal of 80 columns gets."""
    screen, line = os.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 80, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR", "PAGER")}
    environment = kept | {"TERM": "xterm", "WEBPF_DB": str(db)} | variables
    command = [*webpf_command(), *arguments]
    process = subprocess.Popen(command, stdin=line, stdout=line, stderr=line, env=environment)
    os.close(line)
    sent = b""
    try:
        while chunk := os.read(screen, 65536):
            sent += chunk
    except OSError:  # all have closed the terminal
        pass
    os.close(screen)
    assert process.wait() == 0
    return sent.decode()


def pager(tmp_path: Path, script: str) -> str:
    """Makes a pager of a shell script; returns its command line."""
    path = tmp_path / "my pager"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"'{path}' -x"


def test_long_output_goes_through_the_pager(db: Path, tmp_path: Path) -> None:
    mine = pager(tmp_path, 'echo "args $* LESS $LESS"; tail -n 1')
    sent = on_terminal(db, "query", "lifetimes", PAGER=mine)
    assert sent.startswith("args -x LESS FRX\r\n")
    assert "LESS -S" in on_terminal(db, "query", "lifetimes", PAGER=mine, LESS="-S")
    for command in (["tree", "--no-fold"], ["query"], ["sql", "SELECT pid FROM processes"]):
        assert on_terminal(db, *command, PAGER=mine).startswith("args -x")


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["query", "lifetimes", "--limit", "3"], {}),
        (["query", "lifetimes", "--format", "csv"], {}),
        (["query", "lifetimes"], {"PAGER": ""}),
        (["query", "lifetimes"], {"PAGER": "cat"}),
        (["query", "lifetimes"], {"PAGER": "/no/such/pager"}),
        (["query", "lifetimes"], {"PAGER": "'unbalanced"}),
        (["query", "lifetimes"], {"TERM": "dumb"}),
    ],
)
def test_no_pager(arguments: list[str], variables: dict[str, Any], db: Path, tmp_path: Path) -> None:
    mine = pager(tmp_path, "echo paged")
    sent = on_terminal(db, *arguments, **({"PAGER": mine} | variables))
    assert "paged" not in sent and "1001" in sent


def test_a_pager_that_ends_early_is_no_error(db: Path, tmp_path: Path) -> None:
    assert on_terminal(db, "query", "lifetimes", PAGER=pager(tmp_path, "exit 3")) == ""


def test_less_shows_it(db: Path) -> None:
    sent = on_terminal(db, "query", "lifetimes", LESS="FRXE", PAGER="less +G")
    assert f"{ROWS} rows" in sent


def test_the_file_is_free_while_the_pager_runs(db: Path, tmp_path: Path) -> None:
    ready, end = tmp_path / "ready", tmp_path / "end"
    mine = pager(tmp_path, f"touch '{ready}'; until [ -e '{end}' ]; do sleep 0.05; done; cat")
    screen, line = os.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = os.environ | {"TERM": "xterm", "PAGER": mine, "WEBPF_DB": str(db)}
    process = subprocess.Popen([*webpf_command(), "query", "lifetimes"], stdin=line, stdout=line, env=environment)
    os.close(line)
    try:
        wait_until(ready.exists, "the pager doesn't start")
        with closing(sqlite3.connect(db, timeout=0, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
    finally:
        end.touch()
        process.communicate()
        os.close(screen)


def test_failed_rows_are_red_on_a_terminal_alone(
    db: Path, webpf: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    lines = on_terminal(db, "query", "lifetimes", PAGER="cat").split("\r\n")
    assert [line for line in lines if "\x1b[31m" in line] == [line for line in lines if "1001" in line] != []
    assert "\x1b[3" not in on_terminal(db, "query", "lifetimes", PAGER="cat", NO_COLOR="1")
    assert "\x1b" not in webpf("query", "lifetimes", env={"FORCE_COLOR": "1", "TERM": "xterm"}).stdout
