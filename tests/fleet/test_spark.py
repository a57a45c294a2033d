"""Each saved query gives the same rows in Spark as in SQLite. `make fleet` runs this, with two worker processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleets import CASES, SCOPED, SCOPES, Fleet, compare
from story import needed

from webpf.analysis import saved_queries
from webpf.fleet import engines, spark
from webpf.fleet.engine import Engine
from webpf.fleet.engine_name import EngineName

pytestmark = pytest.mark.spark
QUERIES = [name for name in saved_queries.names() if saved_queries.load(name).fleet != "no"]
POOLED = [name for name in QUERIES if saved_queries.load(name).fleet == "pooled"]
WORKERS = 2


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Spark with two worker processes."""
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("there is no Java")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(spark.MASTER, f"local-cluster[{WORKERS},1,1024]")
        opened = engines.start(EngineName.spark)
    yield opened
    opened.close()


def workers() -> int:
    """Returns how many processes execute Spark's tasks."""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return sum(b"CoarseGrainedExecutorBackend" in line and b"java" in line.partition(b"\0")[0] for line in lines)


@pytest.mark.parametrize("name", POOLED)
def test_all_recordings_as_one_base(fleet: Fleet, engine: Engine, name: str) -> None:
    for given in CASES.get(name, [{}]):
        compare(fleet, name, engine, given)
    assert workers() == WORKERS


@pytest.mark.parametrize("name", [name for name in QUERIES if name not in POOLED] + ["summary"])
def test_each_recording(fleet: Fleet, engine: Engine, name: str) -> None:
    """With one case of parameters: a start of each query takes Spark seconds."""
    compare(fleet, name, engine, CASES.get(name, [{}])[0], per_recording=True)


@pytest.mark.parametrize("name", SCOPED)
def test_a_stretch_across_two_recordings(parts: Fleet, engine: Engine, name: str) -> None:
    compare(parts, name, engine, needed(name, "101"), scope=SCOPES["a stretch"])


@pytest.mark.parametrize("case", [case for case in SCOPES if case != "a stretch"])
def test_filters(parts: Fleet, engine: Engine, case: str) -> None:
    assert compare(parts, "lifetimes", engine, {}, scope=SCOPES[case])
