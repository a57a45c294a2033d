"""`webpf export --to parquet`: the tree, read by Arrow and DuckDB, and compared with what SQLite itself reads."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from story import BUILD
from support import A_MIXED_LOT, DEADLINE_SECONDS, T0, Recorder, make_recording, recording_values, wait_until

from webpf.fleet import tree
from webpf.storage.recording_file import RecordingFile

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
START = "recording=20231114T221320.000000Z"
TREE = ("export", "--to", "parquet", "-o", "tree")


def rows(db: Path, sql: str) -> list[dict[str, Any]]:
    """Returns the result of a query, read by SQLite itself."""
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def change(db: Path, sql: str, *values: object) -> None:
    """Changes a file with SQLite itself."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(sql, values)


def parts(folder: Path) -> list[str]:
    """Returns all files of a tree."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def read(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a part, read by Arrow."""
    from pyarrow import parquet

    found: list[dict[str, Any]] = parquet.ParquetFile(path).read().to_pylist()
    return found


@pytest.mark.parametrize("table", tree.TABLES)
def test_arrow_reads_every_value(table: str, db: Path, webpf: Webpf, tmp_path: Path) -> None:
    """All values are the same, unknown ones are null, and what isn't UTF-8 is there as text and as bytes."""
    assert webpf(*TREE).returncode == 0
    assert parts(tmp_path / "tree") == sorted(f"{each}/host=testhost/{START}/part.parquet" for each in tree.TABLES)
    expected = rows(db, f"SELECT * FROM {table} ORDER BY 1, 2, 3")
    found = read(tmp_path / "tree" / table / "host=testhost" / START / "part.parquet")
    assert expected and len(found) == len(expected)
    for was, got in zip(expected, found, strict=True):
        was.pop("recording_id", None)
        assert got.pop("schema_version") == rows(db, "PRAGMA user_version")[0]["user_version"]
        for name, value in was.items():
            if isinstance(value, bytes) and name not in ("argv",):
                assert (got[name], got[name + "_bytes"]) == (value.decode("utf-8", "backslashreplace"), value)
            else:
                assert got[name] == value
                assert name == "argv" or got.get(name + "_bytes") is None
        if table == "processes":
            times = {"started": was["start_ns"], "ended": was["end_ns"]}
            got_ns = {name: got[name] and round(got[name].timestamp() * 1e6) for name in times}
            assert got_ns == {name: ns and ns // 1000 for name, ns in times.items()}


def test_duckdb_reads_the_files_of_two_machines(tmp_path: Path, webpf: Webpf) -> None:
    """It reads them as one table, with the same counts and sums as SQLite."""
    import duckdb

    for name, host in (("one.db", "one"), ("two.db", "a/b=c d")):
        make_recording(tmp_path / name, BUILD)
        change(tmp_path / name, "UPDATE recordings SET host = ?", host)
        assert webpf("export", name, "--to", "parquet", "-o", "tree").returncode == 0
    hosts = sorted(path.name for path in (tmp_path / "tree" / "processes").iterdir())
    assert hosts == ["host=a%2Fb%3Dc%20d", "host=one"]
    table = f"read_parquet('{tmp_path}/tree/processes/*/*/*.parquet', hive_partitioning = true)"
    connection = duckdb.connect()
    totals = "count(*), sum(lifetime_ns), sum(cpu_ns), sum(end_ns - start_ns)"
    sums = connection.execute(f"SELECT host, {totals} FROM {table} GROUP BY 1 ORDER BY 1").fetchall()
    (own,) = rows(tmp_path / "one.db", f"SELECT {totals} FROM processes")
    assert sums == [("a/b=c d", *own.values()), ("one", *own.values())]


def two_recordings(db: Path) -> None:
    for at_ns in (T0, T0 + 5_000_001_000):
        file = RecordingFile(db)
        file.begin(recording_values() | {"started_ns": at_ns})
        file.close()


def test_each_recording_is_written_once(tmp_path: Path, webpf: Webpf) -> None:
    two_recordings(tmp_path / "webpf.db")
    ended = webpf(*TREE, "--recording", "1")
    assert (ended.returncode, ended.stderr.startswith("webpf: tree: 1 recording written, 1 rows, ")) == (0, True)
    first = tmp_path / "tree" / "recordings" / "host=testhost" / START / "part.parquet"
    before = first.stat()
    again = webpf(*TREE)
    assert again.returncode == 0
    assert again.stderr.splitlines()[1] == "webpf: 1 recording there already; to write them again, use --all"
    assert sorted(path.name for path in first.parents[1].iterdir()) == [START, "recording=20231114T221325.000001Z"]
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert webpf(*TREE, "--all").returncode == 0
    assert first.stat().st_ino != before.st_ino
    assert len(parts(tmp_path / "tree")) == 2 * len(tree.TABLES)


def test_a_recording_whose_recorder_was_killed_is_interrupted(tmp_path: Path, webpf: Webpf) -> None:
    """Its row says `recording` until another recorder opens the file."""
    two_recordings(tmp_path / "webpf.db")
    assert {row["status"] for row in rows(tmp_path / "webpf.db", "SELECT status FROM recordings")} == {"recording"}
    assert webpf(*TREE).returncode == 0
    for path in (tmp_path / "tree" / "recordings").rglob("part.parquet"):
        assert read(path)[0]["status"] == "interrupted"


@pytest.mark.kernel
def test_a_recording_that_goes_on_is_left_out(start_recorder: Callable[..., Recorder], webpf: Webpf) -> None:
    recorder = start_recorder()
    ended = webpf("export", recorder.db, "--to", "parquet", "-o", "tree")
    assert (ended.returncode, ended.stderr.splitlines()[1]) == (
        0, "webpf: recording 1 goes on, so it is left out",
    )  # fmt: skip
    named = webpf("export", recorder.db, "--to", "parquet", "-o", "tree", "--recording", "1")
    assert (named.returncode, "goes on: export it when it has ended" in named.stderr) == (64, True)


def test_an_export_that_stopped_half_way_is_completed(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    """The recording doesn't count as there before its last part; what a killed export left behind is removed."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "recordings").touch()
    stopped = webpf(*TREE)
    assert (stopped.returncode, len(stopped.stderr.splitlines())) == (73, 1)
    left = tmp_path / "tree" / "processes" / "host=testhost" / START / ".webpf-12345678.tmp"
    left.touch()
    (tmp_path / "tree" / "recordings").unlink()
    assert webpf(*TREE).returncode == 0
    assert len(parts(tmp_path / "tree")) == len(tree.TABLES)


def test_a_killed_export_is_completed(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    """It waits for a reader of a pipe, which is in the place of the part before the last one, and is killed there."""
    place = Path("host=testhost") / START / "part.parquet"
    pipe = tmp_path / "tree" / tree.TABLES[-2] / place
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    export = subprocess.Popen([sys.executable, "-m", "webpf", *TREE], cwd=tmp_path)
    wait_until((tmp_path / "tree" / tree.TABLES[-3] / place).exists, "all parts before it are written")
    export.kill()
    assert export.wait() == -signal.SIGKILL
    assert not (tmp_path / "tree" / tree.RECORDINGS).exists()
    assert webpf("import", "tree", "-o", "all.db").returncode == 66
    pipe.unlink()
    ended = webpf(*TREE)
    assert (ended.returncode, ended.stderr.startswith("webpf: tree: 1 recording written, ")) == (0, True)
    assert parts(tmp_path / "tree") == sorted(f"{each}/{place}" for each in tree.TABLES)


@pytest.mark.parametrize("damage", ["half", "damaged", "foreign", "empty"])
def test_a_recording_with_a_broken_last_part_is_written_again(
    damage: str, db: Path, webpf: Webpf, tmp_path: Path
) -> None:
    import pyarrow
    from pyarrow import parquet

    assert webpf(*TREE).returncode == 0
    part = tmp_path / "tree" / "recordings" / "host=testhost" / START / "part.parquet"
    whole = part.read_bytes()
    foreign = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({"id": [1]}), foreign)
    part.write_bytes(
        {
            "half": whole[: len(whole) // 2],
            "damaged": b"PAR1" * 20,
            "foreign": foreign.getvalue().to_pybytes(),
            "empty": b"",
        }[damage]
    )
    assert webpf(*TREE).returncode == 0
    assert read(part) == read_bytes(whole)


def read_bytes(content: bytes) -> list[dict[str, Any]]:
    """Returns the rows of a part in memory."""
    import pyarrow
    from pyarrow import parquet

    found: list[dict[str, Any]] = parquet.read_table(pyarrow.BufferReader(content)).to_pylist()
    return found


def test_two_exports_at_once(db: Path, tmp_path: Path, webpf: Webpf) -> None:
    line = [sys.executable, "-m", "webpf", *TREE, "--all"]
    running = [subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE) for _ in range(4)]
    for each in running:
        _, errors = each.communicate(timeout=3 * DEADLINE_SECONDS)  # four at once
        assert each.returncode == 0, errors
    assert len(parts(tmp_path / "tree")) == len(tree.TABLES)
    assert len(read(tmp_path / "tree" / "processes" / "host=testhost" / START / "part.parquet")) == 9


@pytest.mark.parametrize(
    "host", ["..", ".", "", "a\0b", "/", "__HIVE_DEFAULT_PARTITION__", "x" * 250, "é%" * 100, "a b=c'\"", "\U0001f980"]
)
def test_host_names_that_are_not_valid_folder_names(host: str, db: Path, webpf: Webpf, tmp_path: Path) -> None:
    """DuckDB finds the recording, with its true name."""
    import duckdb

    change(db, "UPDATE recordings SET host = ?", host)
    assert webpf(*TREE).returncode == 0
    [folder] = (tmp_path / "tree" / "recordings").iterdir()
    assert folder.name.startswith("host=") and len(os.fsencode(folder.name)) <= 255
    found = duckdb.connect().execute(
        "SELECT r.host FROM read_parquet($tree || '/recordings/*/*/*.parquet', hive_partitioning = false) AS r",
        {"tree": str(tmp_path / "tree")},
    )
    assert found.fetchall() == [(host,)]


def test_long_names_that_differ_at_their_end(tmp_path: Path, webpf: Webpf) -> None:
    for number in range(2):
        make_recording(tmp_path / f"{number}.db", BUILD)
        change(tmp_path / f"{number}.db", "UPDATE recordings SET host = ?", f"{'x' * 250}{number}")
        assert webpf("export", f"{number}.db", "--to", "parquet", "-o", "tree").returncode == 0
    assert len(list((tmp_path / "tree" / "recordings").iterdir())) == 2


def test_two_machines_of_one_name(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    """Their recordings lie side by side. Only if both began in the same microsecond, the second can't be there."""
    assert webpf(*TREE).returncode == 0
    change(db, "UPDATE recordings SET machine_id = 'another'")
    ended = webpf(*TREE)
    assert (ended.returncode, len(ended.stderr.splitlines()), "in the same microsecond" in ended.stderr) == (
        64,
        1,
        True,
    )
    change(db, "UPDATE recordings SET started_ns = started_ns + 1000")
    assert webpf(*TREE).returncode == 0
    assert len(list((tmp_path / "tree" / "recordings" / "host=testhost").iterdir())) == 2


@pytest.mark.parametrize("writes_all", [[], ["--all"]])
def test_two_recordings_of_a_file_that_began_at_the_same_time(
    writes_all: list[str], tmp_path: Path, webpf: Webpf
) -> None:
    """The same one twice is written once. Two recordings in one place would replace each other."""
    db = tmp_path / "webpf.db"
    for events in (A_MIXED_LOT, BUILD):
        make_recording(db, events)
    change(db, "UPDATE recordings SET recorder_pid = id")
    ended = webpf(*TREE, *writes_all)
    assert (ended.returncode, len(ended.stderr.splitlines()), "in the same microsecond" in ended.stderr) == (
        64, 1, True,
    )  # fmt: skip
    assert not (tmp_path / "tree").exists()
    change(db, "UPDATE recordings SET recorder_pid = 1")
    ended = webpf(*TREE, *writes_all)
    assert [line.split(",")[0] for line in ended.stderr.splitlines()] == [
        "webpf: tree: 1 recording written", "webpf: 1 recording there already; to write them again",
    ]  # fmt: skip
    [path] = (tmp_path / "tree" / "processes").rglob("*.parquet")
    assert [row["id"] for row in read(path)] == [
        row["id"] for row in rows(db, "SELECT id FROM processes WHERE recording_id = 1 ORDER BY id")
    ]


def test_text_that_is_not_utf_8(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    """SQLite doesn't check what is text. Its bytes are escaped."""
    change(db, "UPDATE recordings SET command = CAST(x'61ff' AS TEXT)")
    change(db, "UPDATE processes SET comm = CAST(x'62fe' AS TEXT) WHERE pid = 102")
    assert webpf(*TREE).returncode == 0
    place = Path("host=testhost") / START / "part.parquet"
    assert read(tmp_path / "tree" / "recordings" / place)[0]["command"] == "a\\xff"
    names = {row["pid"]: row["comm"] for row in read(tmp_path / "tree" / "processes" / place)}
    assert (names[102], names[1]) == ("b\\xfe", "init")


@pytest.mark.parametrize(
    "sql", ["DELETE FROM fact_blocks", "UPDATE fact_blocks SET size = 3", "UPDATE processes SET recording_id = 7"]
)
def test_no_row_is_left_out_unnoticed(sql: str, db: Path, webpf: Webpf, tmp_path: Path) -> None:
    change(db, sql)
    ended = webpf(*TREE)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (65, 1)
    assert "outside the blocks of their recording" in ended.stderr and "webpf verify" in ended.stderr
    assert not (tmp_path / "tree").exists()


def test_it_needs_a_folder(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, code in (
        (["--to", "parquet"], 64),
        (["--to", "parquet", "-o", "webpf.db"], 64),
        (["--to", "parquet", "-o", "/proc/nothing"], 73),
        (["--to", "parquet", "-o", "file"], 73),
        (["--to", "csv", "-o", "all.csv", "--all"], 64),
    ):
        ended = webpf("export", *arguments)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), ended
    assert "webpf: file is no folder; try: " in webpf(*TREE[:-1], "file").stderr


def test_the_hint_names_another_folder(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    """The hint can be pasted: it writes the whole tree there."""
    (tmp_path / "home").mkdir()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "processes").touch()
    ended = webpf(*TREE, env={"HOME": str(tmp_path / "home")})
    assert (ended.returncode, len(ended.stderr.splitlines())) == (73, 1)
    hint = ended.stderr.rpartition("; try: ")[2]
    assert subprocess.run(hint, shell=True, cwd=tmp_path, check=False).returncode == 0
    assert len(parts(tmp_path / "home" / "tree")) == len(tree.TABLES)


def test_a_missing_package_is_reported(db: Path) -> None:
    script = "import sys; sys.modules['pyarrow'] = None; from webpf.__main__ import main; main()"
    for arguments in (
        ["export", str(db), "--to", "parquet", "-o", str(db.parent / "tree")],
        ["import", "x", "-o", "y"],
    ):
        ended = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (69, 1)
        assert ended.stderr.rstrip().endswith(" install pyarrow")
    assert not (db.parent / "tree").exists()
