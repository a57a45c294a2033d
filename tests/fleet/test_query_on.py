"""`webpf query NAME --on DIR`: what it prints, which hosts it reads, and one line for each kind of bad input."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow
import pytest
from fleets import Fleet, set_machine, write_tree
from pyarrow import parquet
from story import BUILD
from support import make_recording, webpf_command

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


def test_rows_of_processes_say_where_they_are(webpf: Webpf, fleet: Fleet) -> None:
    answer = webpf("query", "failures", "--on", fleet.root, "--format", "json")
    assert (answer.returncode, answer.stderr) == (0, "")
    rows = json.loads(answer.stdout)
    assert list(rows[0])[:6] == ["host", "recording", "id", "end_ns", "end", "pid"]
    assert {row["host"] for row in rows} == {"web1", "web 2", "db/é", "many"}
    # The id is the file's own: the same query over the one file has it.
    first = next(row for row in rows if row["host"] == "web 2")
    alone = webpf("query", "failures", fleet.root.parent / "1.db", "--format", "json")
    assert first["id"] in [row["id"] for row in json.loads(alone.stdout)]


def test_counts_are_of_all_hosts(webpf: Webpf, fleet: Fleet) -> None:
    answer = webpf("query", "users", "--on", fleet.root, "--format", "json")
    files = f"{fleet.root}/processes/*/*/part.parquet"
    sql = f"SELECT count(*) FROM read_parquet('{files}', union_by_name = true) WHERE kernel IS DISTINCT FROM 1"
    [[counted]] = duckdb.execute(sql).fetchall()
    rows = json.loads(answer.stdout)
    assert sum(row["processes"] for row in rows) == counted > 1000
    assert next(iter(rows[0])) == "uid"


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        (["web*"], {"web1", "web 2"}),
        (["web1"], {"web1"}),
        (["db/?", "many"], {"db/é", "many"}),
        (["WEB1", "m*"], {"many"}),
    ],
)
@pytest.mark.parametrize("engine", ["duckdb", "clickhouse"])
def test_only_some_hosts(webpf: Webpf, fleet: Fleet, hosts: list[str], found: set[str], engine: str) -> None:
    chosen = [word for host in hosts for word in ("--host", host)]
    answer = webpf("query", "lifetimes", "--on", fleet.root, *chosen, "--engine", engine, "--format", "ndjson")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert {json.loads(line)["host"] for line in answer.stdout.splitlines()} == found


def test_once_for_each_recording(webpf: Webpf, fleet: Fleet) -> None:
    answer = webpf("query", "summary", "--on", fleet.root, "--per-recording", "--host", "web1", "--format", "ndjson")
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert list(rows[0])[:3] == ["host", "recording", "comm"]
    recordings = [row["recording"] for row in rows]
    assert recordings == sorted(recordings) and len(set(recordings)) == 2
    alone = webpf("query", "summary", fleet.root.parent / "0.db", "--format", "ndjson").stdout
    first = [{name: row[name] for name in list(row)[2:]} for row in rows if row["recording"] == recordings[0]]
    assert first == [json.loads(line) for line in alone.splitlines()]


def test_a_limit_holds_for_all(webpf: Webpf, fleet: Fleet) -> None:
    answer = webpf("query", "losses", "--on", fleet.root, "--limit", "5", "--format", "ndjson")
    assert len(answer.stdout.splitlines()) == 5


def test_machines_of_one_name_are_told_apart(webpf: Webpf, tmp_path: Path) -> None:
    for number in (1, 2):
        make_recording(tmp_path / f"{number}.db", BUILD)
        set_machine(
            tmp_path / f"{number}.db",
            "web1",
            f"{number}" * 32,
            "boot",
            started_ns=1_700_000_000_000_000_000 + number * 1000,
        )
        write_tree(tmp_path / "fleet", tmp_path / f"{number}.db")
    answer = webpf("query", "crashes", "--on", "fleet", "--format", "ndjson")
    hosts = {json.loads(line)["host"] for line in answer.stdout.splitlines()}
    assert hosts == {"web1 (11111111)", "web1 (22222222)"}


def test_lost_events_are_said(webpf: Webpf, tmp_path: Path) -> None:
    make_recording(tmp_path / "a.db", BUILD)
    set_machine(tmp_path / "a.db", "web1", "a machine", "boot", forks_lost=7)
    write_tree(tmp_path / "fleet", tmp_path / "a.db")
    answer = webpf("query", "users", "--on", "fleet")
    assert answer.stderr == "webpf: 1 recording lost 7 events: counts and sums are a lower bound\n"


def test_columns_and_tables_of_older_versions_are_null(webpf: Webpf, tmp_path: Path) -> None:
    make_recording(tmp_path / "a.db", BUILD)
    write_tree(tmp_path / "fleet", tmp_path / "a.db")
    [path] = (tmp_path / "fleet" / "processes").glob("*/*/part.parquet")
    table = parquet.read_table(path)
    parquet.write_table(table.drop_columns(["run_delay_ns", "read_bytes"]), path)
    for engine in ("duckdb", "clickhouse"):
        answer = webpf("query", "users", "--on", "fleet", "--engine", engine, "--format", "ndjson")
        assert (answer.returncode, answer.stderr) == (0, "")
        row = json.loads(answer.stdout.splitlines()[0])
        assert (row["run_delay_ms"], row["read_bytes"]) == (None, None) and row["write_bytes"] > 0


def test_a_recording_that_is_not_complete_is_not_read(webpf: Webpf, fleet: Fleet, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", fleet.root, tmp_path / "fleet"], check=True)
    [path] = (tmp_path / "fleet" / "recordings" / "host=many").glob("*/part.parquet")
    path.rename(path.with_name(".part.parquet.1"))
    for engine in ("duckdb", "clickhouse"):
        answer = webpf("query", "lifetimes", "--on", "fleet", "--engine", engine, "--format", "ndjson")
        assert {json.loads(line)["host"] for line in answer.stdout.splitlines()} == {"web1", "web 2", "db/é"}


def copy_in_part(root: Path) -> None:
    """Leaves the first half of a file of processes."""
    path = next((root / "processes").glob("*/*/part.parquet"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def put_foreign(root: Path) -> None:
    """Puts somebody else's Parquet file in the place of one."""
    path = next((root / "processes").glob("*/*/part.parquet"))
    parquet.write_table(pyarrow.table({"id": [1]}), path)


def take_all(root: Path) -> None:
    """Takes all recordings away."""
    subprocess.run(["rm", "-r", root / "recordings"], check=True)


@pytest.mark.parametrize("engine", ["duckdb", "clickhouse"])
@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (copy_in_part, 65, "is no complete Parquet file"),
        (put_foreign, 65, "is no part of a tree of webpf"),
        (take_all, 66, "holds no recordings; try: "),
        (lambda root: root.rename(root.with_name("gone")), 66, "there is no folder"),
    ],
)
def test_bad_trees(
    webpf: Webpf, tmp_path: Path, engine: str, spoil: Callable[[Path], object], code: int, message: str
) -> None:
    make_recording(tmp_path / "a.db", BUILD)
    write_tree(tmp_path / "fleet", tmp_path / "a.db")
    spoil(tmp_path / "fleet")
    answer = webpf("query", "users", "--on", "fleet", "--engine", engine)
    assert (answer.returncode, answer.stdout) == (code, "")
    assert message in answer.stderr and answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["timeline", "--on", "FLEET"], 64, "the query timeline runs in SQLite only; try: "),
        (["users", "a.db", "--on", "FLEET"], 64, "FILE, --db and --recording can't be given too"),
        (["users", "--db", "a.db", "--on", "FLEET"], 64, "FILE, --db and --recording can't be given too"),
        (["users", "--recording", "1", "--on", "FLEET"], 64, "FILE, --db and --recording can't be given too"),
        (["users", "--on", "FLEET", "-p", "recording=1"], 64, "-p recording can't name one"),
        (["users", "--host", "web*"], 64, "--host is for recordings in a folder"),
        (["users", "--per-recording"], 64, "--per-recording is for recordings in a folder"),
        (["users", "--engine", "duckdb"], 64, "--engine is for recordings in a folder"),
        (["users", "--on", "FLEET", "--engine", "oracle"], 64, "oracle"),
        (
            ["users", "--on", "FLEET", "--host", "nosuch"],
            66,
            "has no recording of a host nosuch: it has db/é, empty, many",
        ),
        (["execs", "--on", "FLEET"], 64, "query execs needs the parameter pid"),
        (["users", "--on", "a.db"], 66, "there is no folder"),
    ],
)
def test_bad_options(webpf: Webpf, fleet: Fleet, tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    make_recording(tmp_path / "a.db", BUILD)
    answer = webpf("query", *(str(fleet.root) if word == "FLEET" else word for word in arguments))
    assert (answer.returncode, answer.stdout) == (code, "")
    assert message in answer.stderr and answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("engine", "packages"),
    [
        ("duckdb", ["duckdb"]),
        ("clickhouse", ["chdb"]),
        ("spark", ["pyspark"]),
        ("duckdb", ["sqlglot"]),
        ("duckdb", ["pyarrow"]),
    ],
)
def test_an_engine_that_is_not_installed(fleet: Fleet, tmp_path: Path, engine: str, packages: list[str]) -> None:
    """With None in their place, the packages can't be imported."""
    code = f"""
import sys
sys.modules.update(dict.fromkeys({packages!r}))
sys.argv = ["webpf", "query", "users", "--on", {str(fleet.root)!r}, "--engine", {engine!r}]
from webpf.__main__ import main
main()
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (69, "")
    [line] = answer.stderr.splitlines()
    assert f"the engine {engine} needs the Python package" in line
    words = shlex.split(line.partition("; try: ")[2])
    assert words[-len(packages) :] == packages and "install" in words


@pytest.mark.spark
def test_spark_needs_java(fleet: Fleet, webpf: Webpf) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"} | {"PATH": "/nowhere"}
    command = [sys.executable, "-m", "webpf", "query", "users", "--on", str(fleet.root), "--engine", "spark"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert answer.returncode == 69
    assert answer.stderr.endswith(
        "Spark needs Java, which is not installed; try: sudo apt-get install openjdk-17-jre-headless\n"
    )


@pytest.mark.parametrize("name", ["a [1]*?", "it's", "ä b"])
def test_folders_of_any_name(webpf: Webpf, tmp_path: Path, name: str) -> None:
    make_recording(tmp_path / "a.db", BUILD)
    write_tree(tmp_path / name, tmp_path / "a.db")
    answer = webpf("query", "users", "--on", name, "--format", "ndjson")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert len(answer.stdout.splitlines()) > 1
    answer = webpf("query", "users", "--on", name, "--format", "ndjson", "--engine", "clickhouse")
    assert answer.stderr.count("\n") == (1 if "*" in name else 0)
    assert answer.returncode == (64 if "*" in name else 0)


def test_a_folder_where_a_file_is_expected(webpf: Webpf, fleet: Fleet) -> None:
    answer = webpf("query", "summary", fleet.root)
    assert (answer.returncode, len(answer.stderr.splitlines())) == (65, 1)
    hint = f"{' '.join(webpf_command())} query summary --on "
    assert f"is a directory, not a recording file; try: {hint}" in answer.stderr
