"""Opens a trace in Perfetto's own UI, which the extra `perfetto` installs, to test how another program reads it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sites import Site

_READ = """async text => {
    const bytes = Uint8Array.from(atob(text), each => each.charCodeAt(0));
    app.openTraceFromBuffer({ title: "export", buffer: bytes.buffer });
}"""


@contextmanager
def opened(chromium: Any, site: Site, trace: bytes) -> Iterator[Any]:
    """Yields a page of the UI, whose engine (app.trace) has read the trace."""
    with closing(chromium.new_context(base_url=site.address)) as context:
        page = context.new_page()
        page.goto("/-/webpf/perfetto-ui/index.html#!/viewer?mode=embedded")
        page.wait_for_function("() => window.app")
        page.evaluate(_READ, base64.b64encode(trace).decode())
        page.wait_for_function("() => app.trace", timeout=60_000)
        yield page
