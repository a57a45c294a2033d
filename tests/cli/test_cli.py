"""The command line on existing recordings: formats, lists, help, completion, and a reader that stops early."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import PROJECT, at, exec_, exit_, fork, free, make_recording, seen, webpf_command

import webpf as package
from webpf.analysis import query_header
from webpf.model.events import Event

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

EVENTS: list[Event] = [
    seen(1, -5000, ppid=0),
    fork(100, 10),
    exec_(100, 10, 11, b"/bin/a\0b c\0", "a"),
    exit_(100, 10, 60, status=256, comm="a"),
    free(100, 10, 80, cpu_ms=2.5),
    fork(101, 20, ppid=100, parent_ms=10),
    exec_(101, 20, 21, b"/bin/\x1b[31mred\0", "\x1b[31mred"),
]
NAMES = sorted(path.stem for path in (PROJECT / "queries").glob("*.sql"))


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A recording of three processes."""
    path = tmp_path / "webpf.db"
    make_recording(path, EVENTS)
    return path


def test_the_contract_of_lifetimes(db: Path, webpf: Webpf) -> None:
    rows = json.loads(webpf("query", "lifetimes", "--format", "json").stdout)
    assert [row["pid"] for row in rows] == [100, 1, 101]
    wanted = {
        "pid": 100, "ppid": 1, "comm": "a", "args": "/bin/a 'b c'", "start_ns": at(10), "lifetime_ms": 50.0,
        "state": "exited", "exit_code": 1, "signal": None, "cpu_ms": 2.5, "max_rss_kib": 2000, "age_ms": None,
    }  # fmt: skip
    assert wanted.items() <= rows[0].items()
    assert (rows[1]["state"], rows[1]["lifetime_ms"], rows[1]["age_ms"]) == ("running", None, 6000.0)


def test_formats_agree(db: Path, webpf: Webpf) -> None:
    as_json = json.loads(webpf("query", "lifetimes", "--format", "json").stdout)
    lines = webpf("query", "lifetimes", "--format", "ndjson").stdout.splitlines()
    as_csv = list(csv.DictReader(io.StringIO(webpf("query", "lifetimes", "--format", "csv").stdout)))
    assert [json.loads(line) for line in lines] == as_json
    assert [int(row["pid"]) for row in as_csv] == [row["pid"] for row in as_json]
    assert len(json.loads(webpf("query", "lifetimes", "--format", "json", "--limit", "1").stdout)) == 1


def test_a_name_cannot_move_the_cursor(db: Path, webpf: Webpf) -> None:
    output = webpf("query", "lifetimes").stdout
    assert "\x1b" not in output
    assert "\\x1b[31mred" in output


def test_queries_are_listed(webpf: Webpf) -> None:
    listed = json.loads(webpf("query", "--format", "json").stdout)
    assert sorted(query["name"] for query in listed) == NAMES
    themes = [query["theme"] for query in listed]
    assert themes == sorted(themes, key=list(query_header.THEMES).index)
    assert all(set(query) == {"name", "title", "description", "theme", "parameters"} for query in listed)
    table = webpf("query").stdout
    assert all(name in table for name in NAMES)


def test_parameters(db: Path, webpf: Webpf) -> None:
    rows = json.loads(webpf("query", "execs", "-p", "pid=100", "--format", "json").stdout)
    assert [(row["step"], row["args"]) for row in rows] == [(1, "/bin/a 'b c'")]


def test_recordings(db: Path, webpf: Webpf) -> None:
    make_recording(db, EVENTS, name="second")
    rows = json.loads(webpf("recordings", "--format", "json").stdout)
    assert [(row["id"], row["name"], row["status"], row["processes"]) for row in rows] == [
        (1, None, "complete", 3),
        (2, "second", "complete", 3),
    ]
    assert len(json.loads(webpf("query", "lifetimes", "--recording", "1", "--format", "json").stdout)) == 3


def test_the_file_can_be_named_in_the_environment(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    other = tmp_path / "folder with space" / "other.db"
    other.parent.mkdir()
    db.rename(other)
    assert webpf("recordings").returncode == 66
    assert webpf("recordings", env={"WEBPF_DB": str(other)}).returncode == 0


@pytest.mark.parametrize(
    "command", [[], ["record"], ["query"], ["recordings"], ["rebuild"], ["verify"], ["stream"], ["doctor"]]
)
def test_help(command: list[str], webpf: Webpf) -> None:
    answers = [webpf(*command, flag) for flag in ("-h", "--help")]
    assert all(answer.returncode == 0 and "Usage: " in answer.stdout for answer in answers)
    assert answers[0].stdout == answers[1].stdout
    assert "--help" in answers[0].stdout


def test_without_arguments_it_prints_its_help(webpf: Webpf) -> None:
    answer = webpf()
    assert answer.returncode == 0
    assert "Commands:" in answer.stdout


def test_version(webpf: Webpf) -> None:
    """The first line is for scripts. The others are compared with what the programs say themselves."""
    lines = webpf("--version").stdout.splitlines()
    uname = subprocess.run(["uname", "-srm"], capture_output=True, text=True, check=True).stdout.strip()
    library = sqlite3.connect(":memory:").execute("SELECT sqlite_version()").fetchone()[0]
    assert lines[0] == f"webpf {package.__version__}"
    assert lines[2:] == [uname, f"Python {platform.python_version()}", f"SQLite {library}"]
    assert re.fullmatch(r"BCC (\d[\d.]+.*|unknown|not installed)", lines[1])


def test_version_needs_nothing_heavy() -> None:
    """Printing the version imports no module that takes long to import."""
    code = "import sys; sys.argv = ['webpf', '--version']; import webpf.__main__ as m; m._run(); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in output.split()}
    heavy = {"bcc", "datasette", "sqlite_utils", "rich", "uvicorn", "perfetto", "pyarrow", "yaml", "asyncio"}
    assert not loaded & {*heavy, "click"}


def test_completion_knows_the_names(webpf: Webpf) -> None:
    environment = {
        "_WEBPF_COMPLETE": "complete_bash", "COMP_WORDS": "webpf query l", "COMP_CWORD": "2",
    }  # fmt: skip
    program = Path(sys.executable).parent / "webpf"
    answer = subprocess.run([program], env=os.environ | environment, capture_output=True, text=True, check=False)
    assert answer.stdout.split() == [name for name in NAMES if name.startswith("l")]


def test_a_reader_that_stops_early(db: Path, tmp_path: Path) -> None:
    """If the reader stops, as `| head` does, the query ends silently by SIGPIPE, as other tools do."""
    events: list[Event] = [event for pid in range(1000, 4000) for event in (fork(pid, pid), exit_(pid, pid, pid + 1))]
    make_recording(db, events, batch=5000)
    command = [*webpf_command(), "query", "lifetimes", "--format", "ndjson"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == -signal.SIGPIPE


def test_the_table_fits_the_terminal(db: Path, tmp_path: Path) -> None:
    """On a terminal of 80 columns, no line is longer, and columns without room are named."""
    master, slave = os.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [*webpf_command(), "query", "lifetimes"]
    environment["TERM"] = "dumb"
    process = subprocess.Popen(command, cwd=tmp_path, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    output = b""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            output += os.read(master, 65536)
        except OSError:  # the other side is closed
            break
    process.wait()
    lines = output.decode().splitlines()
    assert len(lines) > 4
    assert max(map(len, lines)) <= 80
    assert lines[-2] == "3 rows"
    assert lines[-1].startswith("No room for ")
    assert any("exited" in line for line in lines)


@pytest.mark.kernel
def test_doctor_finds_this_machine_fit(webpf: Webpf) -> None:
    answer = webpf("doctor")
    assert answer.returncode == 0
    found: dict[str, Any] = {line[9:23].strip(): line[:8].strip() for line in answer.stdout.splitlines()}
    assert {"kernel", "BTF", "BCC", "privileges", "page size", "disk", "BPF programs"} <= found.keys()
    assert set(found.values()) <= {"ok", "-"}


@pytest.mark.kernel
def test_dry_run_leaves_nothing_behind(webpf: Webpf, tmp_path: Path) -> None:
    answer = webpf("record", "--dry-run")
    assert (answer.returncode, answer.stdout) == (0, "")
    assert "can record" in answer.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.kernel
def test_quiet(webpf: Webpf) -> None:
    answer = webpf("record", "--quiet", "--duration", "0.3", "--name", "calm")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert json.loads(webpf("recordings", "--format", "json").stdout)[0]["name"] == "calm"


@pytest.mark.kernel
def test_a_recording_ends_with_the_next_command(webpf: Webpf) -> None:
    answer = webpf("record", "--duration", "0.3")
    assert answer.returncode == 0
    assert answer.stdout == ""
    assert re.search(r"\n.*in the browser: .*-m webpf browse\n", answer.stderr)
    next_command = answer.stderr.splitlines()[-1].partition("next: ")[2]
    assert next_command.endswith("-m webpf query lifetimes")
    assert "complete, no event was lost" in answer.stderr
