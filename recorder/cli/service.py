"""The commands `service install`, `service uninstall` and `service status`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..errors import Unavailable
from .options import AsText, Keep, KeepFree, MaxSize, Metrics, Rotate, TextFormat
from .verbose import VerboseCommand

_INSTALL_EXAMPLES = (
    "\b\nExamples:\n  sudo webpf service install --keep 7d --max-size 2GiB\n"
    "  sudo webpf service install --reader alice -- --no-args"
)
_EXAMPLES = f"{_INSTALL_EXAMPLES}\n  webpf service status"
_DEFAULT_FREE = "5%"
app = typer.Typer(name="service", no_args_is_help=True, rich_markup_mode=None)


@app.callback(epilog=_EXAMPLES)
def _service() -> None:
    """Record always, as a service of systemd.

    It records into /var/lib/webpf/webpf.db, which members of the group webpf can read.
    """


@app.command(cls=VerboseCommand, epilog=_INSTALL_EXAMPLES)
def install(
    rotate: Rotate = None,
    keep: Keep = None,
    max_size: MaxSize = None,
    keep_free: KeepFree = None,
    reader: Annotated[
        list[str] | None,
        typer.Option("--reader", metavar="USER", help="Let this user read the file. Can be repeated."),
    ] = None,
    metrics: Metrics = None,
    force: Annotated[bool, typer.Option("--force", help="Give other options to a service that is there.")] = False,
    options: Annotated[
        list[str] | None, typer.Argument(metavar="-- OPTIONS", help="More options of webpf record, such as --no-args.")
    ] = None,
) -> None:
    """Install the service and start it.

    It records now and after each boot, as the user webpf, with four capabilities. Without a limit, it deletes the
    oldest recordings when less than 5% of the file system is free. Needs root and systemd.
    """
    from ..host import service_place
    from ..output.messages import say
    from ..service import installation

    given = {"--rotate": rotate, "--keep": keep, "--max-size": max_size, "--keep-free": keep_free}
    if not any(given.values()):
        given["--keep-free"] = _DEFAULT_FREE  # it records for years: it must not fill the disk
    words = [word for option, value in given.items() if value is not None for word in (option, value)]
    done = installation.install([*words, *(options or ())], reader or (), force, metrics)
    say(f"the service records to {service_place.DB}, now and after each boot")
    group = service_place.USER
    if done.readers:
        names = " and ".join(done.readers)
        say(f"{names} can read it after the next login, as a member of the group {group}")
    else:
        say(f"members of the group {group} can read it: sudo usermod -aG {group} $USER, then log in again")
    say("next: webpf service status")


@app.command(cls=VerboseCommand, epilog="\b\nExamples:\n  sudo webpf service uninstall")
def uninstall() -> None:
    """Stop the service and remove it.

    The file and the user webpf stay. Needs root.
    """
    from ..host import service_place
    from ..output.messages import say
    from ..service import installation

    installation.uninstall()
    say(f"the service is removed; the recordings stay in {service_place.DB}")
    say(f"to remove these too: sudo rm -r {service_place.FOLDER} && sudo userdel {service_place.USER}")


@app.command(cls=VerboseCommand, epilog="\b\nExamples:\n  webpf service status\n  webpf service status --format json")
def status(format: AsText = TextFormat.text) -> None:
    """Show how the service is, and what it has recorded.

    Exits with 69 if it doesn't record.
    """
    from ..output.messages import write_lines
    from ..render import json_document, service_json, service_text
    from ..service import service_state

    state = service_state.read_state()
    if format is TextFormat.json:
        json_document.write(service_json.state_document(state), sys.stdout)
    else:
        write_lines(service_text.lines(state))
    if not state.is_recording:
        raise typer.Exit(Unavailable.exit_code)
