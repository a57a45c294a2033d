"""The style sheets and scripts that webpf adds to Datasette's own pages.

Pages of no database get them if all files are recordings, so pages of other files keep their colours.
"""

from __future__ import annotations

from typing import Any

from . import databases

_FOLDER = "/-/static-plugins/webpf"  # Datasette adds its base_url


def styles(datasette: Any, database: str | None) -> list[str]:
    """Returns the paths of style sheets for a page. database: the page's; None: of none."""
    names = ("colours", "pages", "scope") if _is_ours(datasette, database) else ()
    return [f"{_FOLDER}/{name}.css" for name in names]


def scripts(datasette: Any, database: str | None) -> list[dict[str, Any]]:
    """Returns scripts for a page, as Datasette's hook extra_js_urls does."""
    return [{"url": f"{_FOLDER}/repairs.js", "module": True}] if _is_ours(datasette, database) else []


def _is_ours(datasette: Any, database: str | None) -> bool:
    """Returns whether a page is of a recording file, or of no database while all files are recordings."""
    return databases.has_recordings(datasette, database) or (database is None and databases.are_all(datasette))
