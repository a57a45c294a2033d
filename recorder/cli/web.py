"""The commands around Datasette: options in, text and exit code out. Nothing else."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .recording_choice import Db, File, Recording, choose, choose_file


def browse(
    file: File = None,
    recording: Recording = None,
    db: Db = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Default: the first free one from 8001.")
    ] = None,
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Answer to this name too, for a proxy; may be given again."),
    ] = None,
) -> None:
    """Show a recording in the browser.

    It may go on while you look. The address that is printed lets in the first browser that opens it, and no other.
    """
    from ..output.messages import say
    from ..web import browse as browsing

    def announce(served: browsing.ServedPage) -> None:
        where = "" if served.is_open or not opens else "no browser here: open "
        say(f"{where}{served.address}   (Ctrl-C ends)")
        if served.tunnel:
            say(f"from another machine, first there: {served.tunnel}")

    raise typer.Exit(browsing.serve(*choose(file, db, recording), port, opens, announce, allow_host or []))


def datasette_config(file: File = None, db: Db = None) -> None:
    """Print a configuration for Datasette.

    For a Datasette without webpf's plugin: queries, titles and descriptions, as YAML for -m (and in 1.0 -c).
    """
    from ..web import site_config

    sys.stdout.buffer.write(
        site_config.render(choose_file(file, db)).encode()
    )  # YAML is UTF-8, whatever the terminal shows
