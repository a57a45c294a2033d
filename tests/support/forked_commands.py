"""Runs commands of webpf, thousands of them, with limits on memory and time, and returns how they ended."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, NoReturn

from support import SLOWNESS

from webpf import __main__

SECONDS = 60 * SLOWNESS  # a million rows take half of it on a busy machine; what hangs takes for ever
MAX_OUTPUT = 1 << 20  # how many bytes of a command's output are read
_MOST_BYTES = 6 << 30


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    peak_kib: int


@cache
def _server() -> ProcessPoolExecutor:
    """Returns a process of its own for the forks: what tests have loaded would count as the memory of a fork."""
    return ProcessPoolExecutor(1, get_context("spawn"))


def run(arguments: list[str], db: Path) -> Ended:
    """Runs a command on a file, in a fork of a process that has imported webpf: there are thousands of runs."""
    return _server().submit(_run, arguments, db).result()


def _run(arguments: list[str], db: Path) -> Ended:
    paths = {"DB": str(db), "OUT": str(db.with_name("out")), "TREE": str(db.with_name("tree"))}
    words = [paths.get(word, word) for word in arguments]
    began = time.monotonic()
    with (db.parent / "stdout").open("w+b") as stdout, (db.parent / "stderr").open("w+b") as stderr:
        pid = os.fork()
        if pid == 0:
            _become(words, stdout.fileno(), stderr.fileno())
        _, status, usage = os.wait4(pid, 0)
        for stream in (stdout, stderr):
            stream.seek(0)
        out, err = (stream.read(MAX_OUTPUT).decode(errors="replace") for stream in (stdout, stderr))
    return Ended(os.waitstatus_to_exitcode(status), out, err, time.monotonic() - began, usage.ru_maxrss)


def _become(words: list[str], stdout: int, stderr: int) -> NoReturn:
    """Runs webpf with these arguments in this child, with limits on memory and time."""
    code = 255
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS)))
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_BYTES // 4, _MOST_BYTES // 4))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(fd, mode, closefd=False) for fd, mode in enumerate("rww"))
        sys.argv = ["webpf", *words]
        __main__.main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
