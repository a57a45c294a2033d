"""Scopes of the stories of tests, and the rows of saved queries in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support import T0, at

from webpf.analysis import saved_queries
from webpf.model import moments
from webpf.model.scope import Scope
from webpf.model.zone import Zone

UTC = Zone.utc()


def between(since_ms: float | None, until_ms: float | None, **filters: Any) -> Scope:
    """Returns a scope of a stretch of time, in ms since T0."""

    def moment(option: str, ms: float | None) -> moments.Moment | None:
        if ms is None:
            return None
        text = UTC.local(T0).isoformat() if ms == 0 else UTC.local(at(ms)).isoformat()
        return moments.parse(option, text)

    return Scope(since=moment("--since", since_ms), until=moment("--until", until_ms), **filters)


def rows(db: Path, name: str, scope: Scope, **given: str) -> list[dict[str, Any]]:
    """Returns the rows of a saved query."""
    with saved_queries.run(db, saved_queries.load(name), given, scope) as result:
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


CUTS = (50, 350)
"""In ms. The parents of all processes that go on are alive then."""
