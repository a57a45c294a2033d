"""Fixtures for the tests of exports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sites import Site, running
from story import BUILD
from support import make_recording


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A Datasette that serves Perfetto's UI."""
    pytest.importorskip("perfetto", reason="the extra webpf[perfetto] isn't installed")
    db = tmp_path_factory.mktemp("export") / "webpf.db"
    make_recording(db, BUILD)
    with running("0.65", [db]) as site:
        yield site
