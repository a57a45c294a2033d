"""The commands around Datasette: options in, text and exit code out. Nothing else."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .options import DEFAULT_DB, File


def browse(
    db: File = DEFAULT_DB,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Default: the first free one from 8001.")
    ] = None,
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Show a recording in the browser, with Datasette; for this machine only. It may go on while you look."""
    from . import browse as browsing
    from .terminal import say

    def tell(page: str, is_open: bool) -> None:
        say(f"{page}   (Ctrl-C ends)" if is_open or not opens else f"no browser here: open {page}   (Ctrl-C ends)")

    raise typer.Exit(browsing.serve(db, port, opens, tell))


def datasette_config(db: File = DEFAULT_DB) -> None:
    """Print what a Datasette without webpf's plugin needs to know of a file, as YAML for -m (and in 1.0 -c)."""
    from . import siteconfig

    sys.stdout.buffer.write(siteconfig.config(db).encode())  # YAML is UTF-8, whatever the terminal shows
