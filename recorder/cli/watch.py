"""The command `watch`: a line for each process as it ends, while it is recorded."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from ..model.scope import EVERYTHING, Scope
from .live_options import followed, looks
from .recording_choice import Db, File, Recording
from .scope_options import takes_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..analysis.follow import Follower, Look
    from ..analysis.followed_process import FollowedProcess
    from ..render.watch_lines import LineFormat


class LineFormats(str, Enum):
    """The formats of lines."""

    text = "text"
    ndjson = "ndjson"


@takes_scope
def watch(
    file: File = None,
    recording: Recording = None,
    db: Db = None,
    starts: Annotated[bool, typer.Option("--starts", help="Print a line for each start too.")] = False,
    scope: Scope = EVERYTHING,
    format: Annotated[
        LineFormats, typer.Option("--format", help="ndjson: an object for each line.")
    ] = LineFormats.text,
) -> None:
    """Print each process as it ends, live.

    Follows the latest recording of the file until that ends, or Ctrl-C. It needs no privileges to read a file. As root,
    and if nothing is being recorded, it records into a temporary file.
    """
    with contextlib.suppress(KeyboardInterrupt), followed(file, db, recording, scope, "watch") as follower:
        _watch(follower, starts, format is LineFormats.ndjson)


def _watch(follower: Follower, shows_starts: bool, is_json: bool) -> None:
    from ..output.messages import say

    lost, lines, is_first = 0, None, True
    for look in looks(follower):
        lines = lines or _Lines(follower, is_json)
        if is_first and not is_json and sys.stdout.isatty():
            print(lines.header(), flush=True)
        is_first = False
        for line in lines.of(look, shows_starts):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if look.lost > lost:
            say(f"LOST {look.lost - lost:,} events: some processes are missing")
            lost = look.lost
        if look.end is not None:
            say(look.end)


class _Lines:
    """Makes the lines for what a look finds. Times are in the zone of the recorded machine."""

    def __init__(self, follower: Follower, is_json: bool) -> None:
        from ..render.watch_lines import LineFormat, json_line
        from .row_options import style_for

        assert follower.recording is not None
        style = style_for([follower.recording])
        is_terminal = sys.stdout.isatty()
        colors = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
        width = shutil.get_terminal_size().columns if is_terminal else None
        self._format: LineFormat = LineFormat(style.zone, style.knows_users, width, colors)
        self._start: Callable[[FollowedProcess], str] = self._format.start
        self._end: Callable[[FollowedProcess], str] = self._format.end
        if is_json:
            self._start = lambda process: json_line("start", process, style.zone, style.knows_users)
            self._end = lambda process: json_line("end", process, style.zone, style.knows_users)

    def header(self) -> str:
        return self._format.header()

    def of(self, look: Look, shows_starts: bool) -> Iterator[str]:
        """Yields the lines in the order of the events."""
        ended = [each for each in look.ended if each.is_shown]
        events = [((each.end_ns or each.start_ns, 1, each.id), self._end, each) for each in ended]
        if shows_starts:
            started = [each for each in look.started if each.is_start_shown]
            events += [((each.start_ns, 0, each.id), self._start, each) for each in started]
        for _, line, process in sorted(events, key=lambda event: event[0]):
            yield line(process)
