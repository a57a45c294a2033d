"""Compares the logs of real builds with their recordings."""

from __future__ import annotations

import re
import sqlite3
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tools.builds.projects import FOLDER


class Check(NamedTuple):
    """A value that is in the log and in the recording."""

    what: str
    logged: str
    recorded: str
    agrees: bool


def same(what: str, logged: object, recorded: object) -> Check:
    """Returns a check of two values that must be equal."""
    return Check(what, str(logged), str(recorded), logged == recorded)


_PROCESSES = "processes JOIN commands ON commands.id = processes.command_id"
Rows = Callable[[str], list[tuple[object, ...]]]


def of_configure(folder: Path, rows: Rows) -> Iterator[Check]:
    """config.log has each command line and exit code; make prints what it compiles."""
    command = re.compile(r"^configure:\d+: (gcc .*?) *>&5$", re.MULTILINE)
    config = (folder / "config.log").read_text(errors="replace")
    logged = Counter(" ".join(line.split()) for line in command.findall(config))
    ran = Counter(str(line) for (line,) in rows(f"SELECT args FROM {_PROCESSES} WHERE comm = 'gcc'"))
    missing = sum((logged - ran).values())
    words = f"{sum(logged.values())} command lines of gcc in config.log, that are in the recording as often"
    yield same(words, sum(logged.values()), sum(logged.values()) - missing)
    failed = len(
        re.findall(r"^configure:\d+: gcc .*\n(?:(?!configure:).*\n)*configure:\d+: \$\? = [1-9]", config, re.MULTILINE)
    )
    sql = """SELECT count(*) FROM processes AS p JOIN processes AS above ON above.id = p.parent_id
        WHERE p.comm = 'gcc' AND p.exit_code <> 0 AND above.comm <> 'make'"""
    yield same("of these failed", failed, rows(sql)[0][0])
    log = (FOLDER / f"{folder.name}.log").read_text(errors="replace")
    objects = Counter(re.findall(r"^ +CC +(\S+)", log, re.MULTILINE))
    lines = (str(line) for (line,) in rows(f"SELECT args FROM {_PROCESSES} WHERE comm = 'gcc' AND args LIKE '% -c %'"))
    made = Counter(found[1] for line in lines if (found := re.search(r" -o (\S+\.o)\b", line)))
    yield same(
        "objects that make says it compiles (CC), compiled", sum(objects.values()), sum((objects & made).values())
    )


def of_cmake(folder: Path, rows: Rows) -> Iterator[Check]:
    """.ninja_log has start and end of each step, in ms, for each file that it makes."""
    lines = [line.split("\t") for line in (folder / "build/.ninja_log").read_text().splitlines()[1:]]
    steps = len({command for *_, command in lines})
    children = rows(
        "SELECT c.args, p.lifetime_ns / 1e6 FROM processes AS p JOIN commands AS c ON c.id = p.command_id"
        f" WHERE p.parent_id IN (SELECT processes.id FROM {_PROCESSES} WHERE args = 'ninja -C build') ORDER BY p.id"
    )
    yield same("steps in .ninja_log, and processes that ninja started", steps, len(children))
    lifetimes = {
        found[1]: float(str(lifetime))
        for line, lifetime in children
        if (found := re.search(r" -o (\S+\.o) ", str(line)))
    }
    differences = [
        abs(lifetimes[name] - (int(end) - int(start))) for start, end, _, name, _ in lines if name in lifetimes
    ]
    logged = sum(name.endswith(".o") for *_, name, _ in lines)
    yield same("of these, steps that make an object file", logged, len(differences))
    worst = max(differences)
    words = "how far lifetimes are from .ninja_log: median, most"
    yield Check(words, "", f"{statistics.median(differences):.1f} ms, {worst:.1f} ms", worst < 50)


def of_pytest(folder: Path, rows: Rows) -> Iterator[Check]:
    """The report has the duration of each test. Each of forty tests runs one `sleep` of its own length."""
    root = ElementTree.parse(folder / "junit.xml").getroot()
    cases = {str(case.get("name")): float(case.get("time", 0)) * 1e3 for case in root.iter("testcase")}
    sleeps = {name: ms for name, ms in cases.items() if name.startswith("test_sleeps")}
    ran = rows(f"SELECT substr(args, 7) + 0, lifetime_ns / 1e6 FROM {_PROCESSES} WHERE comm = 'sleep'")
    lifetimes = {f"test_sleeps[{round(float(str(s)) * 1000)}]": float(str(ms)) for s, ms in ran}
    yield same("tests that start a program, and programs that were started", len(sleeps), len(lifetimes))
    longer = [sleeps[name] - lifetimes[name] for name in sleeps]
    words = "how much longer a test took than its program: median, most"
    yield Check(
        words, "0", f"{statistics.median(longer):.1f} ms, {max(longer):.1f} ms", -1 < min(longer) <= max(longer) < 100
    )
    ((workers,),) = rows(f"SELECT count(*) FROM {_PROCESSES} WHERE args LIKE '%sys.stdin.readline%'")
    yield same("workers (-n 2)", 2, workers)
    (suite,) = root.iter("testsuite")
    ((wall,),) = rows(f"SELECT lifetime_ns / 1e9 FROM {_PROCESSES} WHERE args LIKE '%-m pytest%'")
    logged = float(suite.get("time", 0))
    # Without the time before pytest's start and after its report.
    words = "seconds that pytest says its session took, and that its process lived"
    yield Check(words, f"{logged:.2f}", f"{wall:.2f}", float(str(wall)) >= logged)


def of_pipeline(folder: Path, rows: Rows) -> Iterator[Check]:
    """The list that the pipeline writes has a line for each content, with the number of files that have it."""
    files = sum(int(line.split()[0]) for line in (FOLDER / "hashes").read_text().splitlines())
    for name, times, more in (("sha256sum", 1, 1), ("b2sum", 1, 0), ("tr", 10, 0), ("gzip", 1, 0), ("sort", 1, 18)):
        ((ran,),) = rows(f"SELECT count(*) FROM processes WHERE comm = '{name}' AND exit_code = 0")
        formula = (f"{times} x " if times > 1 else "") + f"{files} files" + (f" + {more}" if more else "")
        yield same(f"times that `{name}` ran ({formula})", times * files + more, ran)


def of_failing(folder: Path, rows: Rows) -> Iterator[Check]:
    """make says which targets failed, and with what."""
    log = (FOLDER / f"{folder.name}.log").read_text(errors="replace")
    errors = re.findall(r"^make\[1\]: \*\*\* \[\S+ (\S+)\] Error (\d+)$", log, re.MULTILINE)
    failed = rows(
        f"SELECT args, exit_code FROM {_PROCESSES} WHERE exit_code <> 0 AND args LIKE '% -o obj/%'"
        " AND comm IN ('cc', 'gcc')"
    )
    found = sorted((target, code) for target, code in errors)
    recorded = sorted(
        (match[1], str(code)) for line, code in failed if (match := re.search(r" -o (obj/\S+\.o)", str(line)))
    )
    yield same("targets that failed", found and len(found), len(recorded) if recorded == found else recorded)
    ((whole,),) = rows(f"SELECT exit_code FROM {_PROCESSES} WHERE args LIKE 'make -k -j2 -C lib %'")
    yield same("make's own exit code", 2, whole)


CHECKS: dict[str, Callable[[Path, Rows], Iterator[Check]]] = {
    "configure": of_configure,
    "cmake": of_cmake,
    "pytest": of_pytest,
    "pipeline": of_pipeline,
    "failing": of_failing,
}


def compare(name: str, db: Path) -> list[Check]:
    """Returns all checks of a build and its recording."""
    with sqlite3.connect(db) as connection:
        return list(CHECKS[name](FOLDER / name, lambda sql: connection.execute(sql).fetchall()))
