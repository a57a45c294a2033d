"""Memory for what may be forgotten: dicts with a bound in bytes. Pure.

What others choose (names, arguments, cgroups, directories) is remembered in these only, so that nobody can fill the
recorder's memory with it.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getsizeof
from typing import Any, Final, TypeVar

MIB: Final = 1024 * 1024
# Of the dict itself, a key and its value: 24 bytes, and 4 in the index, in a table that right after it grew has room
# for four times as many (Objects/dictobject.c).
_ENTRY: Final = 128

_TEXT: Final = 80

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def size_of(value: Any) -> int:
    """Bytes in memory of a number, text, bytes, None, or a tuple of these."""
    if isinstance(value, tuple):
        return getsizeof(value) + sum(map(size_of, value))
    if isinstance(value, str) and not value.isascii():
        # At most. getsizeof() says more once it was written to SQLite, for then Python holds it as UTF-8 too.
        return _TEXT + 8 * len(value)
    return getsizeof(value)


class BoundedDict(dict[_Key, _Value]):
    """A dict of at most `budget` bytes: when that is used up, the oldest entries go, until half of it is free.

    An entry of more than half of the budget is not kept at all. A lookup costs no more than in any dict. Entries come
    and go with d[key] = value, del d[key] and clear() only, for these count.
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
            self._forget_oldest()
        super().__setitem__(key, value)
        self._bytes += size

    def __delitem__(self, key: _Key) -> None:
        self._bytes -= _ENTRY + size_of(key) + size_of(self[key])
        super().__delitem__(key)

    def clear(self) -> None:
        """Forgets all."""
        super().clear()
        self._bytes = 0

    def _forget_oldest(self) -> None:
        # Many at a time: to find the first entry of a dict, Python passes over all that were removed before it.
        for key in list(self):
            if self._bytes <= self._budget // 2:
                break
            del self[key]


class Remembered(BoundedDict[_Key, _Value]):
    """What a function of one argument returned: remembered[argument] calls it only where that isn't known."""

    def __init__(self, function: Callable[[_Key], _Value], budget: int) -> None:
        super().__init__(budget)
        self._function = function

    def __missing__(self, key: _Key) -> _Value:
        value = self[key] = self._function(key)
        return value
