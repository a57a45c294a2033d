"""Caches with a bound in bytes: they don't exceed it, and drop the oldest entries first."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webpf.model.bounded_cache import MIB, BoundedCache, BoundedDict

MANY = 100_000
KEYS: dict[str, Callable[[int], object]] = {
    "numbers": lambda number: number + 10**6,
    "identities": lambda number: (number + 10**6, 10**18 + number),
    "short bytes": lambda number: b"%d" % number,
    "long bytes": lambda number: b"%d" % number * 100,
    "text": lambda number: f"/usr/bin/{number}",
    "wide text": lambda number: f"/\U0001f980é/{number}" * 5,
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_hundred_thousand_values_take_no_more_than_the_budget(kind: str) -> None:
    """Python's tracemalloc measures the memory."""
    make = KEYS[kind]
    tracemalloc.start()
    try:
        remembered: BoundedDict[object, object] = BoundedDict(MIB)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(MANY):
            remembered[make(number)] = make(-number)
        assert tracemalloc.get_traced_memory()[0] - before <= MIB
    finally:
        tracemalloc.stop()
    kept = len(remembered)
    assert list(remembered) == [make(number) for number in range(MANY - kept, MANY)], "the latest"
    assert kept > 100


def test_text_takes_more_once_sqlite_has_it() -> None:
    """Python then also keeps it as UTF-8. The cache counts that from the beginning."""
    connection = sqlite3.connect(":memory:")
    texts: BoundedDict[int, str] = BoundedDict(MIB)
    tracemalloc.start()
    try:
        for number in range(20_000):
            texts[number] = f"é{number}" * 50
        for text in texts.values():
            connection.execute("SELECT ?", [text]).fetchone()
        assert tracemalloc.get_traced_memory()[0] <= MIB
        for number in list(texts):
            del texts[number]
    finally:
        tracemalloc.stop()
    assert texts._bytes == 0
    connection.close()


def test_results_of_a_function_are_cached() -> None:
    calls = []

    def upper(raw: bytes) -> str:
        calls.append(raw)
        return raw.decode().upper()

    names = BoundedCache(upper, 10_000)
    assert [names[b"a"], names[b"b"], names[b"a"]] == ["A", "B", "A"]
    assert calls == [b"a", b"b"]
    for number in range(1000):
        assert names[b"%d" % number] == str(number)
    assert len(names) < 100
    assert names[b"a"] == "A"
    assert calls.count(b"a") == 2, "it had been forgotten"


def test_an_entry_that_is_too_large_is_not_kept() -> None:
    names = BoundedCache(bytes.decode, 10_000)
    assert names[b"a"] == "a"
    assert names[b"x" * 9000] == "x" * 9000
    assert list(names) == [b"a"]


@given(st.lists(st.tuples(st.sampled_from("=-!"), st.integers(0, 20), st.binary(max_size=300)), max_size=60))
def test_it_behaves_like_a_dict_that_drops_entries(steps: list[tuple[str, int, bytes]]) -> None:
    """After any steps of setting, removing and clearing, its entries and its count of bytes are right."""
    bounded: BoundedDict[int, bytes] = BoundedDict(4000)
    plain: dict[int, bytes] = {}
    for step, key, value in steps:
        if step == "=":
            bounded[key] = plain[key] = value
            assert bounded[key] == value
        elif step == "-" and key in bounded:
            del bounded[key]
            del plain[key]
        elif step == "!" and key == 0:
            bounded.clear()
            plain.clear()
        assert bounded.items() <= plain.items()
        assert 0 <= bounded._bytes <= 4000
    for key in list(bounded):
        del bounded[key]
    assert bounded._bytes == 0
