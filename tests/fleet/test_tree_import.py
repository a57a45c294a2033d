"""`webpf import`: what comes back from a tree is what `webpf merge` makes of the same files."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fleets import make_odd_recording, write_tree
from story import BUILD
from support import A_MIXED_LOT, as_nobody, make_recording, webpf_command

from webpf.fleet import part_reader, tree
from webpf.storage.verify import verify

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
EVENT_IDS = ("id", "process_id", "parent_id", "command_id", "environment_id")
START = "recording=20231114T221320.000000Z"


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of two machines, and their tree. The second one has a chain of two recordings. Tests only read it."""
    folder = tmp_path_factory.mktemp("machines")
    make_odd_recording(folder / "webpf.db")
    for number in range(2):
        other = make_recording(folder / "other.db", A_MIXED_LOT if number else BUILD)
        with closing(sqlite3.connect(folder / "other.db")) as connection, connection:
            sql = """UPDATE recordings
                SET host = 'web1', started_ns = started_ns + id * 1000000000, chain = 1, segment = id WHERE id = ?"""
            connection.execute(sql, [other])
    for file in ("webpf.db", "other.db"):
        write_tree(folder / "tree", folder / file)
    return folder


@pytest.fixture
def exported(machines: Path, tmp_path: Path) -> Path:
    """The tree, which the test may change, with the files beside it."""
    shutil.copytree(machines, tmp_path, dirs_exist_ok=True)
    return tmp_path / "tree"


@pytest.fixture(scope="module")
def joined(machines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `webpf merge` makes of the files, and `webpf import` of the tree."""
    folder = tmp_path_factory.mktemp("joined")
    files = [str(machines / name) for name in ("webpf.db", "other.db")]
    subprocess.run([*webpf_command(), "merge", *files, "-o", str(folder / "merged.db")], check=True)
    call = [*webpf_command(), "import", str(machines / "tree"), "-o", "imported.db"]
    ended = subprocess.run(call, cwd=folder, check=True, capture_output=True, text=True)
    assert "imported.db: 3 recordings of testhost, web1, " in ended.stderr
    return folder


def contents(db: Path, table: str) -> Iterator[dict[str, Any]]:
    """Yields the rows of a table; event ids count from the first process of their recording."""
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        first = dict(
            map(
                tuple,
                connection.execute("SELECT recording_id, min(id) FROM processes GROUP BY recording_id").fetchall(),
            )
        )
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3"):
            values = dict(row)
            if table == tree.RECORDINGS:
                yield values | {"options": ""}
            else:
                start = first[values["recording_id"]]
                yield {name: value - start if name in EVENT_IDS and value else value for name, value in values.items()}


@pytest.mark.parametrize("table", tree.TABLES)
def test_the_same_as_merge(table: str, joined: Path) -> None:
    was, got = (list(contents(joined / name, table)) for name in ("merged.db", "imported.db"))
    assert was and got == was


def test_it_is_a_valid_file(exported: Path, webpf: Webpf, tmp_path: Path) -> None:
    assert webpf("import", "tree", "-o", "all.db").returncode == 0
    of_chain = {finding.chain is not None for finding in verify(tmp_path / "all.db") if finding.problems}
    assert of_chain <= {True}  # its segments are made up, so no process goes over from one to the next
    with closing(sqlite3.connect(tmp_path / "all.db")) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert webpf("rebuild", "all.db").returncode == 65
    assert webpf("merge", "webpf.db", "other.db", "-o", "merged.db").returncode == 0
    for name in ("summary", "lifetimes", "exec_chains", "environment", "cgroups"):
        for recording in ("1", "2", "3"):
            arguments = ("--recording", recording, "--format", "json")
            was, got = (json.loads(webpf("query", name, file, *arguments).stdout) for file in ("merged.db", "all.db"))
            assert without_ids(got) == without_ids(was)


def without_ids(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows of a query without ids of rows in the file."""
    return [{name: value for name, value in row.items() if name not in EVENT_IDS} for row in rows]


def test_an_imported_file_gives_the_same_tree(exported: Path, webpf: Webpf, tmp_path: Path) -> None:
    assert webpf("import", "tree", "-o", "all.db").returncode == 0
    assert webpf("export", "all.db", "--to", "parquet", "-o", "again").returncode == 0
    names = [
        sorted(str(path.relative_to(top)) for path in top.rglob("*.parquet")) for top in (exported, tmp_path / "again")
    ]
    assert names[0] == names[1]


def test_hosts(exported: Path, webpf: Webpf, tmp_path: Path) -> None:
    ended = webpf("import", "tree", "--host", "w*1", "-o", "web.db")
    assert (ended.returncode, "web.db: 2 recordings of web1, " in ended.stderr) == (0, True)
    ended = webpf("import", "tree", "--host", "w*1", "--host", "test*", "-o", "all.db")
    assert (ended.returncode, "all.db: 3 recordings of testhost, web1, " in ended.stderr) == (0, True)
    ended = webpf("import", "tree", "--host", "db*", "-o", "db.db")
    message = "webpf: tree has no recording of a host db*: it has testhost, web1; try: "
    assert (ended.returncode, ended.stderr.startswith(message)) == (66, True)
    assert ended.stderr.endswith(" import tree -o db.db --host testhost\n")
    assert not (tmp_path / "db.db").exists()


def rewrite(path: Path, table: Callable[[Any], Any], **options: Any) -> None:
    """Writes a part again, changed."""
    from pyarrow import parquet

    parquet.write_table(table(parquet.ParquetFile(path).read()), path, **options)


def test_parts_without_statistics(exported: Path, webpf: Webpf, tmp_path: Path) -> None:
    """As some programs write them, the lowest and the highest id are not in the head of a part."""
    assert webpf("import", "tree", "-o", "with.db").returncode == 0
    for path in exported.glob("*/*/*/part.parquet"):
        rewrite(path, lambda part: part, write_statistics=False)
    assert webpf("import", "tree", "-o", "without.db").returncode == 0
    with (
        closing(sqlite3.connect(tmp_path / "with.db")) as one,
        closing(sqlite3.connect(tmp_path / "without.db")) as two,
    ):
        assert list(one.iterdump()) == list(two.iterdump())


@pytest.mark.parametrize("has_statistics", [True, False])
def test_a_row_without_an_id(exported: Path, webpf: Webpf, has_statistics: bool) -> None:
    import pyarrow

    path = exported / "commands" / "host=testhost" / START / "part.parquet"

    def without_id(part: Any) -> Any:
        ids = [None, *part["id"].to_pylist()[1:]]
        return part.set_column(part.schema.get_field_index("id"), "id", pyarrow.array(ids, pyarrow.int64()))

    rewrite(path, without_id, write_statistics=has_statistics)
    ended = webpf("import", "tree", "-o", "all.db")
    assert (ended.returncode, ended.stderr) == (
        65,
        f"webpf: {path.relative_to(exported.parent)} has a row without id\n",
    )


def test_an_older_schema(exported: Path, webpf: Webpf, tmp_path: Path) -> None:
    """Columns and tables that it lacks are NULL and empty, columns that this version doesn't know are left out."""
    import pyarrow

    place = Path("host=testhost") / START / "part.parquet"
    older = pyarrow.array([4])
    rewrite(exported / "recordings" / place, lambda part: part.set_column(part.num_columns - 1, tree.VERSION, older))
    shutil.rmtree(exported / "usage" / "host=testhost")
    rewrite(exported / "processes" / place, lambda part: part.drop_columns(["run_delay_ns", "sid", "started"]))
    rewrite(exported / "snapshot" / place, lambda part: part.append_column("new", part["pid"]))
    assert webpf("import", "tree", "-o", "all.db", "--host", "testhost").returncode == 0
    with closing(sqlite3.connect(tmp_path / "all.db")) as connection:
        assert connection.execute("SELECT count(*), count(sid), count(run_delay_ns) FROM processes").fetchone() == (
            9,
            0,
            0,
        )
        assert connection.execute("SELECT count(*) FROM usage").fetchone() == (0,)
    assert webpf("verify", "all.db").returncode == 0


def test_chains_with_the_same_number(exported: Path, webpf: Webpf, tmp_path: Path) -> None:
    """A machine whose file was removed begins with chain 1 again: that is another chain."""
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("UPDATE recordings SET started_ns = started_ns + 60000000000")
    assert webpf("export", "other.db", "--to", "parquet", "-o", "tree").returncode == 0
    assert webpf("import", "tree", "--host", "web1", "-o", "all.db").returncode == 0
    with closing(sqlite3.connect(tmp_path / "all.db")) as connection:
        chains = connection.execute("SELECT id, chain, segment FROM recordings ORDER BY id").fetchall()
    assert chains == [(1, 1, 1), (2, 1, 2), (3, 3, 1), (4, 3, 2)]


@pytest.mark.parametrize("table", tree.TABLES[:-1])
def test_a_part_that_was_not_copied(table: str, exported: Path, webpf: Webpf, tmp_path: Path) -> None:
    (exported / table / "host=testhost" / START / "part.parquet").unlink()
    ended = webpf("import", "tree", "-o", "all.db")
    assert (ended.returncode, len(ended.stderr.splitlines()), "part.parquet is missing" in ended.stderr) == (
        65,
        1,
        True,
    )
    assert ended.stderr.endswith("webpf export --to parquet -o tree --all\n")
    assert not (tmp_path / "all.db").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("folder", ["recordings", "recordings/host=web1"])
def test_no_folder_is_left_out_because_it_cannot_be_read(folder: str, exported: Path) -> None:
    with tempfile.TemporaryDirectory() as public:
        Path(public).chmod(0o755)
        moved = exported.rename(Path(public) / "tree")
        (moved / folder).chmod(0o700)
        with as_nobody(), pytest.raises(PermissionError):
            part_reader.find_places(moved)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign(path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"id": [1], "name": ["x"]}), path)


def without_a_column_of_each_version(path: Path) -> None:
    rewrite(path, lambda part: part.drop_columns([tree.VERSION if path.parts[-4] == "recordings" else "id"]))


def with_a_changed_byte(path: Path) -> None:
    """In the values of a column: only the checksums of its pages tell."""
    from pyarrow import parquet

    column = parquet.read_metadata(path).row_group(0).column(0)
    content = bytearray(path.read_bytes())
    content[column.dictionary_page_offset + column.total_compressed_size - 4] ^= 1
    path.write_bytes(content)


def of_another_type(path: Path) -> None:
    rewrite(path, lambda part: part.set_column(0, part.column_names[0], part.column(0).cast("float64")))


def without_a_required_column(path: Path) -> None:
    rewrite(path, lambda part: part.drop_columns(["started_ns" if "started_ns" in part.column_names else "pid"]))


def with_null(path: Path) -> None:
    import pyarrow

    name = "updated_ns" if path.parts[-4] == "recordings" else "start_ns"
    rewrite(
        path,
        lambda part: part.set_column(
            part.column_names.index(name), name, pyarrow.nulls(part.num_rows, part.schema.field(name).type)
        ),
    )


def with_dangling_references(path: Path) -> None:
    import pyarrow

    if path.parts[-4] == "processes":
        rewrite(path, lambda part: part.slice(0, 1))
    else:
        rewrite(path, lambda part: pyarrow.concat_tables([part, part]))


@pytest.mark.parametrize(
    "damage",
    [
        half,
        foreign,
        with_a_changed_byte,
        of_another_type,
        without_a_column_of_each_version,
        without_a_required_column,
        with_null,
        with_dangling_references,
    ],
)
@pytest.mark.parametrize("table", ["recordings", "processes"])
def test_a_damaged_part(
    table: str, damage: Callable[[Path], None], exported: Path, webpf: Webpf, tmp_path: Path
) -> None:
    damage(exported / table / "host=testhost" / START / "part.parquet")
    ended = webpf("import", "tree", "-o", "all.db")
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (65, "", 1), ended
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.db", "tree", "webpf.db"]


def test_what_is_no_tree(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "half" / "recordings").mkdir(parents=True)
    for folder, message in (
        ("nothing", "there is no folder nothing"),
        ("empty", "empty holds no recordings"),
        ("half", "half holds no recordings"),
        ("webpf.db", "there is no folder webpf.db"),
    ):
        ended = webpf("import", folder, "-o", "all.db")
        assert (ended.returncode, ended.stderr.startswith(f"webpf: {message}; try: ")) == (66, True), ended
        assert len(ended.stderr.splitlines()) == 1


def test_an_existing_file_is_kept(exported: Path, webpf: Webpf, tmp_path: Path) -> None:
    (tmp_path / "all.db").write_text("mine")
    assert webpf("import", "tree", "-o", "all.db").returncode == 64
    assert (tmp_path / "all.db").read_text() == "mine"
    assert webpf("import", "tree", "-o", "all.db", "--force").returncode == 0
