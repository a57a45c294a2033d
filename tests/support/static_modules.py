"""The pages' ES modules as they lie in the tree: what each imports, and which the templates load."""

from __future__ import annotations

import re

from sites import STATIC
from support import PROJECT

TEMPLATES = PROJECT / "recorder" / "web" / "plugin" / "templates"
MODULES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js"))
EVERYWHERE = {"repairs.js"}
"""What the plugin loads on every page."""
IMPORT = re.compile(r"""^import\b[^;"']*["']([^"']+)["']""", re.MULTILINE)


def imports(module: str) -> list[str]:
    """Returns the modules that a module imports, as paths below static/. Fails if an import isn't a relative path."""
    found = IMPORT.findall((STATIC / module).read_text(encoding="utf-8"))
    assert all(name.startswith(("./", "../")) for name in found), found
    return [(STATIC / module).parent.joinpath(name).resolve().relative_to(STATIC).as_posix() for name in found]


def with_imports(entry: str) -> set[str]:
    """Returns a module and all modules that it imports, directly or indirectly."""
    found, rest = set[str](), [entry]
    while rest:
        module = rest.pop()
        if module not in found:
            found.add(module)
            rest.extend(imports(module))
    return found


def entries() -> set[str]:
    """Returns the modules that the templates load."""
    pages = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html"))
    return set(re.findall(r"""<script type="module" src="{{ urls.static_plugins\('webpf', '([^']+)'\) }}">""", pages))
