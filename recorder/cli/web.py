"""The commands `browse` and `datasette-config`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .recording_choice import Db, File, Recording, WholeFile, choose, choose_file


def browse(
    file: File = None,
    recording: Recording = None,
    db: Db = None,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", help="Port to listen on. Default: the first free one from 8001 on."),
    ] = None,
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="NAME", help="Answer to this host name too, for a proxy. Can be repeated."
        ),
    ] = None,
) -> None:
    """Show a recording in the browser.

    The recording can still be running. Only the first browser that opens the printed address can see it.
    """
    from ..output.messages import say
    from ..web import browse as browsing

    def announce(served: browsing.ServedPage) -> None:
        where = "" if served.is_open or not opens else "no browser here: open "
        say(f"{where}{served.address}   (Ctrl-C ends)")
        if served.tunnel:
            say(f"from another machine, first there: {served.tunnel}")

    raise typer.Exit(browsing.serve(*choose(file, db, recording), port, opens, announce, allow_host or []))


def datasette_config(file: WholeFile = None, db: Db = None) -> None:
    """Print a configuration for Datasette.

    It gives a Datasette without webpf's plugin the saved queries, titles and descriptions. The YAML file goes to
    datasette's option -m, and in Datasette 1.0 also to -c.
    """
    from ..web import site_config

    sys.stdout.buffer.write(
        site_config.render(choose_file(file, db)).encode()
    )  # YAML is UTF-8, whatever the terminal shows
