"""Names and paths from the kernel are decoded to text without errors and surrogates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webpf.model.events import decode_escaped


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ""),
        (b"bash\0\0\0\0\0\0\0\0\0\0\0\0", "bash"),
        (b"kworker/0:1-even", "kworker/0:1-even"),  # 16 bytes, no NUL
        (b"a\0left over", "a"),
        (b"\0left over", ""),
        ("näme".encode(), "näme"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("好".encode()[:2], "\\xe5\\xa5"),  # comm can be cut in the middle of a character
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),  # UTF-8 has no surrogates
        (b"a\nb", "a\nb"),  # stored unchanged; the output escapes it
    ],
)
def test_examples(raw: bytes, expected: str) -> None:
    assert decode_escaped(raw) == expected


@given(st.binary())
def test_any_bytes_become_text_that_can_be_stored(raw: bytes) -> None:
    result = decode_escaped(raw)
    result.encode("utf-8")
    assert "\0" not in result


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_text_stays_as_it_is(name: str) -> None:
    assert decode_escaped(name.encode() + b"\0rest") == name
