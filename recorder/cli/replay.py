"""The command `replay`, which makes a recording from the output of `webpf stream`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..capture.record_options import RecordOptions
from ..errors import NotFound, UsageError, from_os_error
from ..model import argv, durations
from . import upgrade
from .options import Events, Name, NewDb, Quiet, Rotate
from .recording_choice import DEFAULT_DB
from .verbose import VerboseCommand

COMMAND_SETTINGS = {"cls": VerboseCommand}

Stream = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        readable=False,
        show_default=False,
        help="Output of webpf stream. Default, or -: standard input.",
    ),
]


def replay(
    stream: Stream = None,
    db: NewDb = DEFAULT_DB,
    name: Name = None,
    events: Events = None,
    rotate: Rotate = None,
    quiet: Quiet = False,
) -> None:
    """Make a recording from streamed events.

    Needs neither privileges nor BCC, and records nothing of the machine on which it runs. Also reads events from a pipe
    while they happen: ssh HOST webpf stream --full | webpf replay. Without --full, the stream doesn't say from which
    machine it comes, or how many events were lost.
    """
    from ..capture import replay as replaying
    from ..storage import file_check
    from . import live_status
    from .display_thread import Display

    file_check.check_writable(db)
    upgrade.before_writing(db, quiet)
    options = RecordOptions(
        db=db, name=name, events=events and events.value, rotate=durations.parse_rotation(rotate, "replay")
    )
    shown = live_status.QuietStatus() if quiet else live_status.ReplayStatus(options)
    with _opened(stream) as (descriptor, called), Display(shown) as observer:
        summary = replaying.replay(descriptor, called, options, observer)
    if not quiet:
        live_status.print_summary(summary)


@contextlib.contextmanager
def _opened(events: Path | None) -> Iterator[tuple[int, str]]:
    """Opens the stream. Yields its descriptor, and its name for messages."""
    if events is None or str(events) == "-":
        descriptor = sys.stdin.fileno()
        if os.isatty(descriptor):
            raise UsageError("FILE is missing, and standard input is a terminal", "webpf replay events.ndjson")
        yield descriptor, "standard input"
        return
    try:
        descriptor = os.open(events, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"there is no file {events}", f"sudo webpf stream --full > {argv.file_word(events)}") from None
    except OSError as error:
        raise from_os_error(error) from error
    try:
        yield descriptor, str(events)
    finally:
        os.close(descriptor)
