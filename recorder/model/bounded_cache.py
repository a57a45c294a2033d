"""Caches with a bound in bytes. Pure.

Everything that recorded processes choose (names, arguments, cgroups, directories) is cached only in these, so that no
process can fill the recorder's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getsizeof
from typing import Any, Final, TypeVar

MIB: Final = 1024 * 1024
# Bytes that a dict itself needs for an entry: 24, and 4 in its index. Right after the table grew, it has space for four
# times as many entries (Objects/dictobject.c).
_ENTRY: Final = 128

_TEXT: Final = 80  # bytes of a str that is not ASCII, besides its characters

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def size_of(value: Any) -> int:
    """Returns the bytes in memory of a number, text, bytes, None, or a tuple of these."""
    if isinstance(value, tuple):
        return getsizeof(value) + sum(map(size_of, value))
    if isinstance(value, str) and not value.isascii():
        # An upper bound. getsizeof() would return more after the text was written to SQLite, because Python then also
        # keeps it as UTF-8.
        return _TEXT + 8 * len(value)
    return getsizeof(value)


class BoundedDict(dict[_Key, _Value]):
    """A dict of at most `budget` bytes. When it is full, it drops its oldest entries until half of the budget is free.

    It doesn't keep an entry that is larger than half of the budget. A lookup is as fast as in any dict. Change it only
    with d[key] = value, del d[key] and clear(), which count the bytes.
    """

    def __init__(self, budget: int) -> None:
        super().__init__()
        self._budget = budget
        self._bytes = 0

    def __setitem__(self, key: _Key, value: _Value) -> None:
        if key in self:
            del self[key]
        size = _ENTRY + size_of(key) + size_of(value)
        if size > self._budget // 2:
            return
        if self._bytes + size > self._budget:
            self._drop_oldest()
        super().__setitem__(key, value)
        self._bytes += size

    def __delitem__(self, key: _Key) -> None:
        self._bytes -= _ENTRY + size_of(key) + size_of(self[key])
        super().__delitem__(key)

    def clear(self) -> None:
        """Removes all entries."""
        super().clear()
        self._bytes = 0

    def _drop_oldest(self) -> None:
        # Many at once: to find the first entry of a dict, Python goes through all that were removed before it.
        for key in list(self):
            if self._bytes <= self._budget // 2:
                break
            del self[key]


class BoundedCache(BoundedDict[_Key, _Value]):
    """A cache of a function with one argument: cache[argument] calls the function if it has no result yet."""

    def __init__(self, function: Callable[[_Key], _Value], budget: int) -> None:
        super().__init__(budget)
        self._function = function

    def __missing__(self, key: _Key) -> _Value:
        value = self[key] = self._function(key)
        return value
