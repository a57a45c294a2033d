"""--format text, json and markdown: what all have in common, and unusual recordings and outputs."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from story import BUILD
from support import Recorder, make_recording, webpf_command

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

FORMATS = {
    "report": ["text", "json", "markdown"],
    "diff": ["text", "json", "markdown"],
    "tree": ["text", "json"],
    "verify": ["text", "json"],
    "doctor": ["text", "json"],
}
EACH = [(command, format) for command, formats in FORMATS.items() for format in formats]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Two recordings."""
    for _ in range(2):
        make_recording(tmp_path / "webpf.db", BUILD)
    return tmp_path / "webpf.db"


@pytest.mark.parametrize("command", FORMATS)
def test_an_unknown_format(command: str, webpf: Webpf) -> None:
    ended = webpf(command, "--format", "xml")
    *first, last = FORMATS[command]
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (64, "", 1)
    assert f"--format takes {', '.join(first)} or {last}, not 'xml'; try: " in ended.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["report"], 0),
        (["report", "--recording", "9"], 66),
        (["tree", "missing.db"], 66),
        (["tree", "--pid", "7"], 66),
        (["diff", "--fail-if", "processes>0"], 0),
        (["diff", "1", "broken.db", "--fail-if", "failures>0"], 1),
        (["verify", "broken.db"], 65),
        (["verify", "text.db"], 65),
        (["report", "text.db"], 65),
        (["doctor", "--db", "no folder/a.db"], 69),
    ],
)
def test_exit_code_and_messages_are_the_same(command: list[str], code: int, db: Path, webpf: Webpf) -> None:
    (db.parent / "broken.db").write_bytes(db.read_bytes())
    (db.parent / "text.db").write_text("no database")
    with closing(sqlite3.connect(db.parent / "broken.db")) as connection, connection:
        connection.execute("UPDATE processes SET status = 256 WHERE recording_id = 2 AND status = 0")
    for format in FORMATS[command[0]]:
        ended = webpf(*command, "--format", format)
        assert ended.returncode == code, ended
        assert ended.stderr == webpf(*command).stderr
        assert bool(ended.stdout) == (code in (0, 1, 69) or "broken.db" in command), ended


@pytest.mark.parametrize("output", ["/dev/full", "&-"])
@pytest.mark.parametrize(("command", "format"), EACH)
def test_an_output_that_takes_nothing(command: str, format: str, output: str, db: Path) -> None:
    script = f'exec "$@" >{output}'
    ended = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *webpf_command(), command, "--format", format],
        cwd=db.parent, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 74
    (line,) = ended.stderr.splitlines()
    assert line.startswith("webpf: standard output can't be written: ")


def test_a_reader_that_has_gone(db: Path) -> None:
    """webpf ends silently by SIGPIPE, as other tools do."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [*webpf_command(), "tree", "--format", "json"]
    ended = subprocess.run(command, cwd=db.parent, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (-13, b"")


def test_an_empty_recording(tmp_path: Path, webpf: Webpf) -> None:
    for _ in range(2):
        make_recording(tmp_path / "webpf.db", [])
    report = json.loads(webpf("report", "--format", "json").stdout)
    assert [key for key, value in report.items() if value == []] == [
        *("slowest", "most_cpu", "most_memory", "failed", "last_failures", "running"),
        *("serial_sections", "critical_path", "critical_path_by_activity", "repeated", "activities"),
    ]
    assert (report["command"], report["processes"], report["concurrency"]["most"]) == (None, 0, 0)
    assert json.loads(webpf("tree", "--format", "json").stdout)["branches"] == []
    diff = json.loads(webpf("diff", "--format", "json").stdout)
    assert (diff["activities"], diff["after"]["longest_id"], diff["is_noise"]["own_rss_kib"]) == ([], None, None)


def test_a_recording_that_lost_events(db: Path, webpf: Webpf) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET exits_lost = 7 WHERE id = 2")
    for command in ("report", "tree", "diff"):
        ended = webpf(command, "--format", "json")
        document = json.loads(ended.stdout)
        recording = document["after" if command == "diff" else "recording"]
        recording = recording.get("recording", recording)
        assert (recording["lost"], recording["caveat"] in ended.stderr) == (7, True)


@pytest.mark.kernel
def test_a_recording_that_goes_on(start_recorder: Callable[..., Recorder], webpf: Webpf) -> None:
    """Reports read a running recording, and say that it has not ended."""
    start_recorder("--pid", str(os.getpid()))
    for command in ("report", "tree"):
        ended = webpf(command, "--format", "json")
        recording = json.loads(ended.stdout)["recording"]
        # Until what it starts is in the file, the process itself is left out, and this is said.
        errors = [line for line in ended.stderr.splitlines() if not line.startswith("webpf: left out: 1 process ")]
        assert (recording["status"], recording["ended_ns"], errors) == ("recording", None, [])
    findings = json.loads(webpf("verify", "webpf.db", "--format", "json").stdout)["findings"]
    assert (findings[1]["recording"]["status"], findings[1]["problems"]) == ("recording", [])
    assert "`webpf.db`" in webpf("report", "--format", "markdown").stdout


def test_two_files(db: Path, webpf: Webpf) -> None:
    make_recording(db.parent / "other.db", BUILD, name="other")
    diff = json.loads(webpf("diff", "webpf.db:1", "other.db", "--format", "json").stdout)
    recordings = [diff[side]["recording"] for side in ("before", "after")]
    assert [(each["file"], each["id"], each["name"]) for each in recordings] == [
        ("webpf.db", 1, None),
        ("other.db", 1, "other"),
    ]
    assert all(each["changes"] == [] for each in diff["activities"])


def test_a_file_whose_name_is_no_text(db: Path, webpf: Webpf) -> None:
    """The output is valid UTF-8 anyway, without surrogates, which most parsers refuse."""
    name = os.fsdecode(b"a\xff\n.db")
    db.rename(db.parent / name)
    document = json.loads(webpf("tree", name, "--format", "json").stdout)
    assert document["recording"]["file"] == "a\\xff\n.db"
