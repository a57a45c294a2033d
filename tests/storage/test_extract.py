"""webpf extract: a part in a file of its own says what a scope says, and what is hidden is nowhere in that file."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cut_chains import make_chain
from scopes import CUTS, between, rows
from story import BUILD, make_costly_recording, needed
from support import at, exec_, exit_, fork, free, make_recording, seen

from webpf.analysis import saved_queries
from webpf.model.anonymizing import Anonymizing
from webpf.model.environment import Variable
from webpf.model.events import Event
from webpf.model.redaction import Redaction
from webpf.model.rewriting import Redacting
from webpf.model.scope import EVERYTHING, Scope
from webpf.storage import extract, file_check, reader, verify

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


def check(db: Path) -> None:
    """Fails unless verify finds nothing, and the schema is current."""
    findings = list(verify.verify(db))
    assert [problem for finding in findings for problem in finding.problems] == []
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (file_check.SCHEMA_VERSION,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A recording, one with costs in cgroups, and a chain."""
    folder = tmp_path_factory.mktemp("files")
    make_recording(folder / "build.db", BUILD, name="build")
    make_costly_recording(folder / "costly.db")
    make_chain(folder / "chain.db", BUILD, CUTS)
    return {path.stem: path for path in folder.glob("*.db")}


SCOPES: list[tuple[str, Scope, str]] = [
    ("build", between(0, None), "101"),
    ("build", between(42, 44), "101"),
    ("build", between(45, 82), "103"),
    ("build", between(60, 300, failed=True), "104"),
    ("build", Scope(comms=("gcc", "python")), "102"),
    ("build", Scope(under=7), "105"),
    ("costly", between(100, 650), "202"),
    ("costly", Scope(containers=("d0",)), "201"),
    ("chain", between(0, None), "101"),
    ("chain", between(42, 44), "101"),
    ("chain", between(60, 420), "101"),
    ("chain", between(5, 80, failed=True), "103"),
]


@pytest.mark.parametrize(("name", "scope", "pid"), SCOPES)
def test_every_query_answers_as_over_the_scope(
    name: str, scope: Scope, pid: str, files: dict[str, Path], tmp_path: Path
) -> None:
    part = tmp_path / "part.db"
    done = extract.extract(files[name], part, scope=scope)
    check(part)
    assert done.processes > 0
    for query in saved_queries.names():
        if query != "compare":  # it reads two recordings
            given = needed(query, pid)
            assert rows(part, query, EVERYTHING, **given) == rows(files[name], query, scope, **given), query
    with reader.reading(part) as connection:
        [recording] = reader.recordings(connection)
    assert (recording.row["chain"], recording.has_raw_events) == (None, False)


@pytest.mark.parametrize("name", ["build", "chain"])
def test_the_same_scope_over_a_part_of_it(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    """Parents that are in the part only as such are not in its scope, and what ended after its time still did so."""
    part = tmp_path / "part.db"
    failed = between(5, 80, failed=True)
    extract.extract(files[name], part, scope=failed)
    for scope in (failed, between(5, 80), between(5, 400)):
        for query in ("lifetimes", "tree", "summary", "running", "losses"):
            assert rows(part, query, scope) == rows(part, query, between(5, 80)), query
    again = tmp_path / "again.db"
    extract.extract(part, again, scope=between(5, 400))
    for query in ("lifetimes", "tree", "summary", "running"):
        assert rows(again, query, EVERYTHING) == rows(files[name], query, failed), query


def stored(db: Path, recording: int) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all rows of a recording, by table."""
    with closing(sqlite3.connect(db)) as connection:
        sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%sqlite%'"
        tables = [name for (name,) in connection.execute(sql)]
        column = {name: "id" if name == "recordings" else "recording_id" for name in tables}
        return {
            name: connection.execute(
                f"SELECT * FROM {name} WHERE {column[name]} = ? ORDER BY 1, 2", [recording]
            ).fetchall()
            for name in tables
        }


def test_whole_recordings_are_copied_with_all_rows(tmp_path: Path, webpf: Webpf) -> None:
    db = tmp_path / "webpf.db"
    for name in ("first", "second", "third"):
        make_recording(db, BUILD, name=name)
    ended = webpf("extract", "-o", "part.db", "--recording", "third", "--recording", "1")
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"part\.db: recordings 1, 3, 34 processes, \d+ KiB", ended.stderr)
    check(tmp_path / "part.db")
    for number in (1, 3):
        assert stored(tmp_path / "part.db", number) == stored(db, number)
    assert not any(stored(tmp_path / "part.db", 2).values())
    assert webpf("extract", "-o", "all.db").returncode == 0
    assert [stored(tmp_path / "all.db", number) for number in (1, 2, 3)] == [stored(db, number) for number in (1, 2, 3)]
    assert webpf("rebuild", "part.db").returncode == 0
    assert (tmp_path / "part.db").stat().st_mode & 0o777 == 0o600


SECRET = "hunter2-Zürich"
LONG_NAME = f"/opt/x-{SECRET}/x-{SECRET}"  # the kernel cuts its name within the secret
COMM = f"x-{SECRET}".encode()[:15].decode("utf-8", "ignore")
WITH_SECRETS: list[Event] = [
    seen(1, -5000, ppid=0, argv=f"/sbin/init\0--key={SECRET}\0".encode()),
    fork(100, 0, parent_ms=-5000),
    exec_(100, 0, 1, f"/bin/sh\0-c\0curl -H 'Token: {SECRET}'\0".encode(), "sh")._replace(
        interpreter=f"/opt/{SECRET}/sh", environment=(Variable("KEY", "set", SECRET), Variable("ODD", "set", b"\xff")),
    ),
    exec_(100, 0, 2, f"{LONG_NAME}\0{SECRET}\0".encode(), COMM),
    fork(101, 10, ppid=100, parent_ms=0, comm=COMM),
    exit_(101, 10, 20, comm=COMM, ppid=100),
    exec_(100, 0, 30, b"/srv/\xff/" + SECRET.encode() + b"\0it's a \"" + SECRET.encode() + b"\"\0", "odd")._replace(
        filename=b"/srv/\xff/" + SECRET.encode()
    ),
    exec_(100, 0, 40, b"/bin/cut\0" + SECRET.encode()[:12], "cut", argv_bytes=90)._replace(
        filename="/bin/cut"
    ),
    exit_(100, 0, 50, 256, comm="cut"),
    free(100, 0, 60, status=256),
]  # fmt: skip


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A file with a secret wherever a text can be."""
    db = tmp_path / "secrets.db"
    make_recording(db, WITH_SECRETS, name=f"run with {SECRET}")
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            "UPDATE recordings SET host = ?1 || '.example', command = 'webpf record -- sh -c ''curl ' || ?1 || '''',"
            " options = json_object('names', json_array(?1), ?1, 'x'), zone = 'America/Lima', machine_id = 'ab12'",
            [SECRET],
        )
        escaped = SECRET.replace("-", "\\x2d").replace("ü", "\\xc3\\xbc")
        connection.execute("DELETE FROM cgroup_paths")
        for path, unit in ((f"/system.slice/{escaped}.service", f"{escaped}.service"), (f"/{SECRET}", None)):
            values = [1 if unit else 2, path, unit]
            connection.execute("INSERT INTO cgroup_paths VALUES (1, ?, ?, ?, NULL, NULL)", values)
        connection.execute("INSERT INTO working_directories VALUES (1, 8, 42, ?)", [f"/data/me/{SECRET}"])
        incident = [at(3), at(4), f"locked by sqlite3 /data/me/{SECRET}.db"]
        connection.execute("INSERT INTO incidents VALUES (1, ?, ?, 'locked', ?, 0)", incident)
    assert db.read_bytes().count(b"hunter2") > 15
    return db


def holds(db: Path, *words: str) -> list[str]:
    """Returns the words that are anywhere in a file, freed pages too, in one of several encodings."""
    raw = db.read_bytes()
    encodings = ("utf-8", "utf-16-le", "utf-16-be", "latin-1")
    return [word for word in words if any(word.encode(encoding) in raw for encoding in encodings)]


@pytest.mark.parametrize("scope", [EVERYTHING, between(0, None), Scope(under=2)], ids=["whole", "stretch", "subtree"])
def test_redacted_texts_are_nowhere_in_the_new_file(secrets: Path, tmp_path: Path, scope: Scope) -> None:
    part = tmp_path / "part.db"
    extract.extract(secrets, part, scope=scope, rewriting=Redacting(Redaction(patterns=[SECRET])))
    check(part)
    assert holds(part, "hunter2", "unter2", "Zürich", COMM) == []
    assert holds(part, "***", "/bin/cut", "/data/me/***", "Token: ***")
    with closing(sqlite3.connect(part)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM processes WHERE comm = '***'").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM forks").fetchone() == (0,)  # they repeat names


def test_the_command_hides_as_well(secrets: Path, webpf: Webpf, tmp_path: Path) -> None:
    ended = webpf(
        "extract",
        secrets,
        "-o",
        "part.db",
        "--args",
        "curl|cut",
        "--redact",
        "hunter2.Z.rich",
        "--redact",
        "hunter2\\S*",
    )
    assert ended.returncode == 0, ended.stderr
    assert holds(tmp_path / "part.db", "hunter2") == []
    ended = webpf("extract", secrets, "-o", "part.db", "--force", "--comm", COMM, "--redact", SECRET)
    assert (ended.returncode, holds(tmp_path / "part.db", "hunter2")) == (0, [])  # --comm is in the new file's options


def test_without_arguments(secrets: Path, webpf: Webpf, tmp_path: Path) -> None:
    assert webpf("extract", secrets, "-o", "part.db", "--no-args").returncode == 0
    check(tmp_path / "part.db")
    with closing(sqlite3.connect(tmp_path / "part.db")) as connection:
        sql = "SELECT count(*), count(argv), count(args), count(argv_bytes) FROM commands"
        assert connection.execute(sql).fetchone() == (5, 0, 0, 5)
        assert connection.execute("SELECT command FROM recordings").fetchone() == ("webpf",)
    assert holds(tmp_path / "part.db", "Token", "curl", "it's a") == []


@pytest.mark.parametrize("scope", [EVERYTHING, between(0, None)], ids=["whole", "stretch"])
def test_anonymized(secrets: Path, tmp_path: Path, scope: Scope) -> None:
    part = tmp_path / "part.db"
    extract.extract(secrets, part, scope=scope, rewriting=Anonymizing())
    check(part)
    gone = (
        "hunter2",
        "Zürich",
        "curl",
        "Token",
        "home",
        "srv",
        "/opt",
        "example",
        "Lima",
        "ab12",
        "it's",
        "no boot",
        "testhost",
    )
    assert holds(part, *gone) == []
    assert holds(part, "/sbin/init", "/bin/cut", "/bin/sh") == ["/sbin/init", "/bin/cut", "/bin/sh"]
    with closing(sqlite3.connect(part)) as connection:
        assert connection.execute("SELECT DISTINCT uid FROM programs").fetchall() == [(1000,)]
        texts = connection.execute("SELECT args FROM commands ORDER BY id").fetchall()
        assert len({text for (text,) in texts}) == 5
    again = tmp_path / "again.db"
    extract.extract(secrets, again, scope=scope, rewriting=Anonymizing())
    assert stored(again, 1) == stored(part, 1)


def test_equal_texts_become_equal_ones(files: dict[str, Path], tmp_path: Path) -> None:
    part = tmp_path / "part.db"
    extract.extract(files["build"], part, rewriting=Anonymizing())
    columns = "runs", "total_ms", "cpu_ms", "failed", "parents"
    found, expected = (rows(db, "duplicates", EVERYTHING) for db in (part, files["build"]))
    assert [[row[column] for column in columns] for row in found] == [
        [row[column] for column in columns] for row in expected
    ]
    assert len(found) == 1 and "a.c" not in found[0]["args"]


def test_bad_input(files: dict[str, Path], webpf: Webpf, tmp_path: Path) -> None:
    db = files["build"]
    (tmp_path / "there.db").write_text("mine")
    for arguments, code in (
        ([db], 64),
        ([db, "-o", db], 64),
        ([db, "-o", "there.db"], 64),
        ([db, "-o", "no/part.db"], 73),
        (["nothing.db", "-o", "part.db"], 66),
        ([db, "-o", "part.db", "--recording", "7"], 66),
        ([db, "-o", "part.db", "--comm", "nothing"], 66),
        ([db, "-o", "part.db", "--since", "soon"], 64),
        ([db, "-o", "part.db", "--redact", "("], 64),
        ([db, "-o", "part.db", "--redact", "x", "--anonymize"], 64),
        ([db, "-o", "part.db", "--recording", "1", "--recording", "1", "--failed"], 64),
    ):
        ended = webpf("extract", *arguments)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), ended
    assert [path.name for path in tmp_path.iterdir()] == ["there.db"] and (tmp_path / "there.db").read_text() == "mine"
