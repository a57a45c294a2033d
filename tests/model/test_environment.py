"""Looking up variables in an environment, against a simple search entry by entry."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from webpf.model.environment import SET, UNKNOWN, UNSET, is_name
from webpf.model.environment_lookup import EnvironmentLookup
from webpf.model.events import decode_exact

NAMES = ["A", "AB", "É"]
ENTRY = st.one_of(
    st.tuples(st.sampled_from(NAMES), st.binary(max_size=4)).map(lambda pair: pair[0].encode() + b"=" + pair[1]),
    st.text("AB=É x\n", max_size=5).map(str.encode),
    st.binary(max_size=5),
).map(lambda entry: entry.replace(b"\0", b""))


def first_of(entries: list[bytes], name: str) -> bytes | None:
    """Returns what getenv(3) would find."""
    parted = [entry.partition(b"=") for entry in entries]
    return next((value for key, mark, value in parted if mark and key == name.encode()), None)


@given(st.lists(ENTRY, max_size=6), st.integers(0, 60))
@example([b"A=1", b"A=2"], 60)
@example([b"AB=1"], 4)
def test_the_first_entry_counts(entries: list[bytes], limit: int) -> None:
    """With a part of it: what is in the whole, or unknown; known at least if it is whole within the part."""
    whole = b"".join(entry + b"\0" for entry in entries)
    lookup = EnvironmentLookup(NAMES)
    assert [(each.name, each.value) for each in lookup.find(whole, len(whole))] == [
        (name, None if (value := first_of(entries, name)) is None else decode_exact(value)) for name in sorted(NAMES)
    ]
    part = whole[:limit]
    inside = part[: part.rfind(b"\0") + 1].split(b"\0")[:-1]
    for found, complete in zip(lookup.find(part, len(whole)), lookup.find(whole, len(whole)), strict=True):
        assert (found.state == SET) == (found.value is not None)
        if first_of(inside, found.name) is not None or len(part) == len(whole):
            assert found == complete
        else:
            assert found.state == UNKNOWN
    assert {each.state for each in lookup.find(whole, len(whole))} <= {SET, UNSET}


def test_names() -> None:
    assert all(map(is_name, ["A", "a b", "-", "É", "0", "\n"]))
    assert not any(map(is_name, ["", "=", "A=", "A=B", "\0", "a\udc80"]))
