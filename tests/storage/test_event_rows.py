"""The rows of events: which columns are bound, and in which order the rows come."""

from __future__ import annotations

import pytest
from support import exit_

from webpf.model.events import Exit
from webpf.storage.command_ids import CommandIds
from webpf.storage.event_rows import make_event_rows

EVENTS = [exit_(pid, 10, 20)._replace(uid=1000, begun=1) for pid in range(100, 140)]


@pytest.mark.parametrize("informative", [[], [7], [3, 20, 39], None])
def test_rows_of_a_batch_come_in_the_order_of_their_ids(informative: list[int] | None) -> None:
    """Else SQLite splits pages in the middle."""
    rows = make_event_rows(EVENTS, 1, [1] * len(EVENTS), CommandIds(), informative)
    assert bool(rows.plain[Exit]) == (informative == []) != bool(rows.full[Exit])
    values = rows.plain[Exit] + rows.full[Exit]
    width = len(values) // len(EVENTS)
    assert values[::width] == list(range(1, len(EVENTS) + 1))
    known = [number for number, uid in enumerate(rows.column(Exit, "uid"), 1) if uid is not None]
    assert known == (list(range(1, 41)) if informative is None else informative)
    assert rows.column(Exit, "pid") == [event.pid for event in EVENTS]
