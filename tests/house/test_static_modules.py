"""The pages' ES modules and style sheets: each is used, is small, and no two import each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from sites import STATIC
from static_modules import EVERYWHERE, MODULES, entries, imports, with_imports


def test_each_module_is_used_by_a_page() -> None:
    assert entries() == {"timeline.js", "perfetto.js", "story.js", "query.js"}
    assert set().union(EVERYWHERE, *(with_imports(entry) for entry in entries())) == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_modules_have_no_import_cycles_and_stay_small(module: str) -> None:
    assert all(module not in with_imports(name) for name in imports(module))
    lines = (STATIC / module).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert lines[0].startswith("// "), "the first line says what the module does"


@pytest.mark.parametrize(
    "path", sorted(STATIC.rglob("*.js")) + sorted(STATIC.rglob("*.css")), ids=lambda path: path.name
)
def test_lines_are_short(path: Path) -> None:
    """As those of the Python code, which ruff checks."""
    assert [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 120] == []
