"""`webpf query NAME --on DIR --since ... --failed ...`: what it says, what it reads, and one line for bad input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from fleet_scripts import run_in_duckdb
from fleets import Fleet, set_machine, write_tree
from pyarrow import parquet
from story import BUILD
from support import at, make_recording

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
STRETCH = ("--since", "2023-11-14T22:13:20.042Z", "--until", "2023-11-14T22:13:20.080Z")


def ndjson(answer: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    """Returns the rows that a command wrote."""
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_it_says_what_the_rows_are_about(webpf: Webpf, parts: Fleet) -> None:
    answer = webpf("query", "lifetimes", *STRETCH, "--on", parts.root, "--format", "ndjson", "-p", "kernel=1")
    found = ndjson(answer)
    files = f"{parts.root}/processes/*/*/part.parquet"
    alive = f"start_ns <= {at(80)} AND (end_ns >= {at(42)} OR (end_ns IS NULL AND state = 'running'))"
    sql = f"SELECT count(*) FROM read_parquet('{files}', filename = 'path') WHERE {alive} AND path NOT LIKE '%350000Z%'"
    [(counted,)] = duckdb.execute(sql).fetchall()
    assert len(found) == counted > 10
    assert {(row["host"], row["recording"]) for row in found} == set(parts.names[:3])
    assert answer.stderr == (
        "webpf: web 2, web1, 2023-11-14 22:13:20.042+00:00 to 2023-11-14 22:13:20.080+00:00, 3 recordings:"
        f" {counted} processes; sums are of whole processes\n"
    )


def test_it_says_what_ended(webpf: Webpf, parts: Fleet) -> None:
    scope = ("--since", "2023-11-14T22:13:20.060Z", "--failed", "--host", "web1", "--user", "0")
    answer = webpf("query", "failures", *scope, "--on", parts.root, "--format", "ndjson")
    assert {row["host"] for row in ndjson(answer)} == {"web1"}
    assert answer.stderr.startswith(
        "webpf: web1, 2023-11-14 22:13:20.060+00:00 to 2023-11-14 22:13:21.000+00:00, 2 recordings: "
    )
    assert answer.stderr.endswith(
        " with --user 0 --failed; sums are of whole processes; shown are those that ended in this time\n"
    )


def test_only_recordings_with_something_in_the_scope(webpf: Webpf, parts: Fleet) -> None:
    scope = ("--per-recording", "--on", parts.root, "--comm", "make", "--format", "ndjson")
    answer = webpf("query", "rate", *scope, "--until", "2023-11-14T22:13:20.080Z")
    assert {row["host"] for row in ndjson(answer)} == {"web1"}
    assert ", 3 recordings: 2 processes with --comm make" in answer.stderr  # one in each: nothing is joined


@pytest.mark.parametrize("engine", ["duckdb", "clickhouse"])
def test_other_recordings_are_not_read(webpf: Webpf, parts: Fleet, tmp_path: Path, engine: str) -> None:
    subprocess.run(["cp", "-r", parts.root, tmp_path / "fleet"], check=True)
    (tmp_path / "fleet" / "processes" / "host=web1" / f"recording={parts.names[3][1]}" / "part.parquet").write_bytes(
        b""
    )
    answer = webpf("query", "users", "--on", "fleet", "--engine", engine)
    assert (answer.returncode, answer.stderr.count("\n")) == (65, 1)
    assert ndjson(webpf("query", "users", "--on", "fleet", "--engine", engine, *STRETCH, "--format", "ndjson"))


@pytest.mark.parametrize("engine", ["duckdb", "clickhouse"])
def test_other_row_groups_are_not_read(webpf: Webpf, tmp_path: Path, engine: str) -> None:
    """The last ones are overwritten with zeros: whatever read them, would fail."""
    make_recording(tmp_path / "a.db", BUILD)
    write_tree(tmp_path / "fleet", tmp_path / "a.db")
    [path] = (tmp_path / "fleet" / "processes").glob("*/*/part.parquet")
    parquet.write_table(parquet.read_table(path), path, row_group_size=4)
    metadata = parquet.read_metadata(path)
    last = metadata.row_group(metadata.num_row_groups - 1)
    with path.open("r+b") as file:
        for column in map(last.column, range(last.num_columns)):
            file.seek(column.dictionary_page_offset or column.data_page_offset)
            file.write(bytes(column.total_compressed_size))
    command = ("query", "users", "--on", "fleet", "--engine", engine, "--format", "ndjson")
    assert webpf(*command).returncode != 0
    assert ndjson(webpf(*command, "--until", "2023-11-14T22:13:20.080Z"))


@pytest.mark.parametrize("name", ["lifetimes", "tree"])
def test_the_sql_runs_as_it_is(webpf: Webpf, parts: Fleet, tmp_path: Path, name: str) -> None:
    scope = ("query", name, "--on", parts.root, "--host", "web 2", "--user", "0", "--since", "2023-11-14T22:13:20.042Z")
    printed = webpf(*scope, "--sql")
    assert (printed.returncode, printed.stderr) == (0, "")
    [rows] = run_in_duckdb(printed.stdout, tmp_path)
    assert len(rows) == len(ndjson(webpf(*scope, "--format", "ndjson"))) > 0


@pytest.mark.parametrize("engine", ["clickhouse", "spark"])
def test_the_sql_of_other_engines_has_the_scope(webpf: Webpf, parts: Fleet, engine: str) -> None:
    printed = webpf("query", "failures", "--on", parts.root, "--engine", engine, "--sql", *STRETCH)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert f"start_ns <= {at(80)}" in printed.stdout and f"end_ns >= {at(42)}" in printed.stdout
    assert parts.names[2][1] in printed.stdout and parts.names[3][1] not in printed.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--until", "2023-11-14", "--since", "2023-11-15"], 64, "is before --since"),
        (["--user", "nosuchuser"], 64, "there is no such user"),
        (["--args", "(?=a)"], 64, "--args '(?=a)' is not for a fleet: invalid perl operator: (?=; try: "),
        (["--under", "7"], 64, "so that --under can't name one; try: "),
        (["--comm", "nosuch"], 66, " processes, none with --comm nosuch"),
        (
            ["--since", "2023-11-15"],
            66,
            "nothing since 2023-11-15 00:00:00+00:00: it has 4 recordings of web 2, web1",
        ),
        (["--until", "2023-11-14"], 66, "from 2023-11-14 22:13:20.000+00:00 to 2023-11-14 22:13:21.000+00:00; try: "),
    ],
)
def test_bad_scopes(webpf: Webpf, parts: Fleet, arguments: list[str], code: int, message: str) -> None:
    more = STRETCH if arguments[0] == "--comm" else ()
    answer = webpf("query", "users", "--on", parts.root, *arguments, *more)
    assert (answer.returncode, answer.stdout) == (code, ""), answer.stderr
    assert message in answer.stderr and answer.stderr.count("\n") == 1


def test_compare_takes_no_scope(webpf: Webpf, parts: Fleet) -> None:
    answer = webpf("query", "compare", "--on", parts.root, "--failed")
    assert (answer.returncode, answer.stderr.count("\n")) == (64, 1)
    assert "reads two recordings, and takes no scope" in answer.stderr


def test_times_of_machines_in_two_zones(webpf: Webpf, tmp_path: Path) -> None:
    for number, zone in enumerate(("Europe/Berlin", "UTC")):
        make_recording(tmp_path / f"{number}.db", BUILD)
        set_machine(tmp_path / f"{number}.db", f"web{number}", str(number), "boot", zone=zone)
        write_tree(tmp_path / "fleet", tmp_path / f"{number}.db")
    command = ("query", "users", "--on", "fleet", "--since", "2023-11-14 22:00")
    answer = webpf(*command)
    assert (answer.returncode, answer.stderr.count("\n")) == (64, 1)
    assert "--since: the machines are in different time zones (Europe/Berlin, UTC)" in answer.stderr
    answer = webpf(*command, "--utc")
    assert "web0, web1, 2023-11-14 22:13:20.000+00:00 to" in answer.stdout
    berlin = webpf("query", "users", "--on", "fleet", "--since", "2023-11-14 23:00", "--host", "web0")
    assert "web0, 2023-11-14 23:13:20.000+01:00 to" in berlin.stdout
