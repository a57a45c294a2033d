"""docs/json.md, and the keys of documents as it writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from support import PROJECT

PAGE = (PROJECT / "docs" / "json.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
ROW = re.compile(r"^\| `([\w.\[\]]+)` \| ([\w ]+) \| (.*) \|$", re.MULTILINE)


def documented(section: str) -> tuple[set[str], set[str]]:
    """Returns the documented keys of a section, with those of linked objects; and the keys that hold such objects."""
    keys, objects = set(), set()
    for key, _, meaning in ROW.findall(SECTIONS[section]):
        reference = re.search(r"\]\(#(\w+)\)", meaning)
        if reference is None:
            keys.add(key)
        else:
            objects.add(key)
            keys |= {f"{key}.{each}" for each in documented(reference[1])[0]}
    return keys, objects


def keys_of(value: Any, path: str = "") -> Iterator[str]:
    """Returns the paths of all values in a document, written as in docs/json.md. An empty list has none."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from keys_of(each, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for each in value:
            yield from keys_of(each, f"{path}[]")
    else:
        yield path
