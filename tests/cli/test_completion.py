"""Completion: called as the shells' scripts call it, and in bash with the script that webpf prints."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support import DEADLINE_SECONDS, PROJECT, make_recording, seen

PROGRAM = Path(sys.executable).parent / "webpf"
NAMES = sorted(path.stem for path in (PROJECT / "queries").glob("*.sql"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with webpf.db (two recordings), other.db (one), and files that aren't recordings."""
    make_recording(tmp_path / "webpf.db", [], name="before")
    make_recording(tmp_path / "webpf.db", [seen(1, -5000, ppid=0)], name="af\x1b[31mter\n1 \"quoted\" 'name'")
    make_recording(tmp_path / "other.db", [])
    (tmp_path / "text.db").write_text("no database")
    (tmp_path / "empty.db").touch()
    (tmp_path / "folder.db").mkdir()
    return tmp_path


def ask(folder: Path, **variables: str) -> str:
    """Returns what webpf prints for a shell. It must not fail, nor write to stderr."""
    environment = {name: value for name, value in os.environ.items() if name != "WEBPF_DB"}
    answer = subprocess.run(
        [PROGRAM],
        cwd=folder,
        env=environment | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert answer.stderr == ""
    return answer.stdout


def offered(folder: Path, line: str, **variables: str) -> list[str]:
    """Returns the values that bash gets for the last word of a line. After a space, this word is empty."""
    words = len(shlex.split(line)) - (not line.endswith(" "))
    wanted = {"_WEBPF_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(words)}
    return ask(folder, **wanted, **variables).split()


def explained(folder: Path, line: str) -> dict[str, str]:
    """Returns the values with their descriptions, as fish gets them."""
    wanted = {"_WEBPF_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    lines = ask(folder, **wanted, _TYPER_COMPLETE_ARGS=line).splitlines()
    return {value: text for value, _, text in (line.partition("\t") for line in lines)}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("webpf query l", [name for name in NAMES if name.startswith("l")]),
        ("webpf query ", NAMES),
        ("webpf query execs -p ", ["pid=", "id=", "recording="]),
        ("webpf query execs --param p", ["pid="]),
        ("webpf query execs -p pid=1 -p ", ["id=", "recording="]),
        ("webpf query --limit 5 busiest -p ", ["recording=", "limit="]),
        ("webpf query -p ", []),
        ("webpf query nosuch -p ", []),
        ("webpf query --nosuch execs -p x", []),
        ("webpf query execs --recording ", ["2", "1", "before"]),
        ("webpf query execs --recording 2", ["2"]),
        ("webpf query execs --recording b", ["before"]),
        ("webpf query execs --db other.db --recording ", ["1"]),
        ("webpf query execs other.db --recording ", ["1"]),
        ("webpf query execs other.db -p ", ["pid=", "id=", "recording="]),
        ("webpf tree other.db:1 --recording ", ["1"]),
        ("webpf tree other.db --db webpf.db --recording ", []),
        ("webpf query --db other.db --recording ", ["1"]),
        ("webpf tree --recording ", ["2", "1", "before"]),
        ("webpf tree other.db --recording ", ["1"]),
        ("webpf report other.db --recording ", ["1"]),
        ("webpf export other.db --recording ", ["1"]),
        ("webpf rebuild --db other.db --recording ", ["1"]),
        *((f"webpf tree {name} --recording ", []) for name in ("nosuch.db", "text.db", "empty.db", "folder.db")),
        *((f"webpf query --db {name} --recording ", []) for name in ("nosuch.db", "text.db", "/dev/zero", "a/b/c")),
    ],
)
def test_values(folder: Path, line: str, values: list[str]) -> None:
    assert offered(folder, line) == values


def test_the_file_in_the_environment(folder: Path) -> None:
    for command in ("query execs", "tree", "rebuild"):
        assert offered(folder, f"webpf {command} --recording ", WEBPF_DB="other.db") == ["1"]
    assert offered(folder, "webpf tree webpf.db --recording ", WEBPF_DB="other.db") == ["2", "1", "before"]


def test_a_named_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.db")
    assert offered(folder, "webpf tree pipe.db --recording ") == []


def test_a_locked_file_is_not_waited_for(folder: Path) -> None:
    """A command waits for ten seconds. That would be too long at a prompt."""
    with closing(sqlite3.connect(folder / "webpf.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        begun = os.times().elapsed
        assert offered(folder, "webpf tree --recording ") == []
        assert os.times().elapsed - begun < 5
    assert offered(folder, "webpf tree --recording ") == ["2", "1", "before"]


def test_descriptions(folder: Path) -> None:
    recordings = explained(folder, "webpf tree --recording ")
    assert list(recordings) == ["2", "1", "before"]
    assert recordings["before"] == f"recording 1: {recordings['1']}"
    assert re.fullmatch(r"before, complete, 2023-11-1[45] \d\d:\d\d:20\S+, 1\.00 s", recordings["1"])
    assert recordings["2"].startswith(r"af\x1b[31mter\n1")
    parameters = explained(folder, "webpf query busiest -p ")
    assert parameters["limit="] == "integer, default 100; maximum number of rows"
    assert explained(folder, "webpf query fail") == {"failures": "Failures"}


def bash(folder: Path, *words: str) -> list[str]:
    """Returns what bash offers after it has run the function in the script of `webpf --show-completion bash`."""
    script = f"""
        PATH={PROGRAM.parent}:$PATH
        eval "$(webpf --show-completion bash)"
        function=$(complete -p webpf | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
        $function webpf
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {name: value for name, value in os.environ.items() if name != "WEBPF_DB"}
    answer = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stderr == ""
    return answer.stdout.splitlines()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_in_bash(folder: Path) -> None:
    assert bash(folder, "webpf", "query", "surv") == ["survival"]
    assert bash(folder, "webpf", "query", "survival", "-p", "") == ["recording=", "comm="]
    assert bash(folder, "webpf", "tree", "other.db", "--recording", "") == ["1"]
    assert bash(folder, "webpf", "tree", "nosuch.db", "--recording", "") == [""]


def test_all_parameters_are_offered(folder: Path) -> None:
    listed = subprocess.run([PROGRAM, "query", "--format", "json"], capture_output=True, text=True, check=True).stdout
    for query in json.loads(listed)[::5]:
        wanted = [f"{parameter['name']}=" for parameter in query["parameters"]]
        assert offered(folder, f"webpf query {query['name']} -p ") == wanted
