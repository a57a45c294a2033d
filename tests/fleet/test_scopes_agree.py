"""In a scope too, saved queries give the same rows in DuckDB and ClickHouse as in SQLite: of all, and one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from cut_chains import make_chain
from fleets import SCOPED, SCOPES, Fleet, compare, set_machine, write_tree
from scopes import CUTS, between, rows
from story import BUILD, needed
from support import make_recording

from webpf.analysis import saved_queries
from webpf.fleet import fleet_query
from webpf.fleet.engine import Engine
from webpf.fleet.engine_name import EngineName
from webpf.model.scope import Scope
from webpf.storage import extract

EMPTY = {"zombies", "environment", "io", "waiting", "orphans", "exec_chains"}
OF_ONE = {"id", "process_id", "host", "recording", "carried_rss_kib"}  # these differ in the segments of a chain


@pytest.mark.parametrize("name", SCOPED)
def test_a_stretch_across_two_recordings(parts: Fleet, engine: Engine, name: str) -> None:
    assert compare(parts, name, engine, needed(name, "101"), scope=SCOPES["a stretch"]) or name in EMPTY


@pytest.mark.parametrize("case", [case for case in SCOPES if case != "a stretch"])
def test_filters(parts: Fleet, engine: Engine, case: str) -> None:
    assert compare(parts, "lifetimes", engine, {}, scope=SCOPES[case])


@pytest.mark.parametrize("name", ["spawners", "tree", "losses"])
def test_parents_outside(parts: Fleet, engine: Engine, name: str) -> None:
    """They are named, and say when a command began, but they aren't counted."""
    assert compare(parts, name, engine, {}, scope=SCOPES["failed"])


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file with the story of a build in three segments of a chain, and the tree with them."""
    folder = tmp_path_factory.mktemp("chain")
    make_chain(folder / "chain.db", BUILD, CUTS)
    set_machine(folder / "chain.db", "web1", "a machine", "a boot")
    write_tree(folder / "fleet", folder / "chain.db")
    return folder / "chain.db", folder / "fleet"


def plain(names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns rows with these columns alone."""
    return [{name: row[name] for name in names} for row in found]


@pytest.mark.parametrize(
    ("name", "scope"),
    [(name, between(42, 80)) for name in ("lifetimes", "running", "failures", "spawners")]
    + [("failures", between(20, 80, failed=True)), ("lifetimes", Scope(uids=(33,)))],
)
def test_a_chain_is_as_in_its_file(chain: tuple[Path, Path], engine: Engine, name: str, scope: Scope) -> None:
    """Also processes that go on after the stretch: their rows are in a later segment."""
    agrees(*chain, engine, name, scope)


@pytest.mark.parametrize("name", ["lifetimes", "running", "spawners"])
def test_a_part_is_as_in_its_file(tmp_path: Path, engine: Engine, name: str) -> None:
    """Parents that are in it only as such are not in the scope."""
    make_recording(tmp_path / "build.db", BUILD)
    extract.extract(tmp_path / "build.db", tmp_path / "part.db", scope=between(5, 80, failed=True))
    write_tree(tmp_path / "fleet", tmp_path / "part.db")
    agrees(tmp_path / "part.db", tmp_path / "fleet", engine, name, between(5, 400))


def agrees(db: Path, root: Path, engine: Engine, name: str, scope: Scope) -> None:
    """Fails unless a query gives the same rows over a tree as over the file from which it was made."""
    query = saved_queries.load(name)
    wanted = fleet_query.FleetQuery(query, root, {}, EngineName(engine.name), scope=scope)
    with fleet_query.run(wanted, engine) as result:
        found = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    names = [column for column in query.columns if column not in OF_ONE]
    assert plain(names, found) == plain(names, rows(db, name, scope))
