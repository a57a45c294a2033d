"""What `watch` and `top` have in common: which recording they follow, and when they look."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..errors import NotFound, UsageError
from ..host.paths import exists
from ..model import argv
from .recording_choice import Chosen, choose

if TYPE_CHECKING:
    from ..analysis.follow import Follower, Look
    from ..model.scope import Scope

_LEAST_SECONDS = 0.25
_BUSY_SHARE = 0.2  # the most time that looks may take, when a file is slow to read


@contextlib.contextmanager
def followed(
    file: str | None,
    db: str | None,
    recording: str | None,
    scope: Scope,
    command: str,
    shows_messages: bool = True,
) -> Iterator[Follower]:
    """Yields what follows the recording that the options name; as root, without one, what follows a temporary one.

    shows_messages: whether the recorder of a temporary one may write to stderr. Raises NotFound if nothing is being
    recorded and it can't be recorded now.
    """
    from ..analysis.follow import Follower

    for option, is_given in {"--until": scope.until is not None, "--under": scope.under is not None}.items():
        if is_given:
            raise UsageError(f"webpf {command} takes no {option}", "webpf query --help")
    chosen = choose(file, db, recording)
    is_named = any(each is not None for each in (file, db, recording))
    goes_on = _goes_on(chosen, is_named)
    if is_named or goes_on:
        if not goes_on and scope.since is None:
            hint = f"webpf watch --since -1h --db {argv.file_word(chosen.path)}"
            raise NotFound(f"nothing is being recorded into {chosen.path}", hint)
        yield Follower(chosen.path, chosen.recording, scope)
    elif os.geteuid() == 0:
        from ..kernel import preflight
        from ..output.messages import say
        from .temporary_recording import temporary_recording

        preflight.check_machine(f"sudo webpf {command}", None)
        say("nothing is being recorded: this records into a temporary file until it ends")
        with temporary_recording(shows_messages) as path:
            yield Follower(path, scope=scope)
    else:
        raise NotFound("nothing is being recorded here", f"sudo webpf {command}")


def _goes_on(chosen: Chosen, must_exist: bool) -> bool:
    """Returns whether a recorder is writing the recording.

    Raises DataError for a file that isn't a recording file, and NotFound for one that must exist and doesn't.
    """
    from ..model.recording import GOING_ON
    from ..storage import reader

    if not must_exist and not exists(chosen.path):
        return False
    with reader.reading(chosen.path) as connection:
        try:
            return reader.find(connection, *chosen).status == GOING_ON
        except NotFound:
            if chosen.recording is not None:
                raise
            return False


def looks(follower: Follower, wait: Callable[[float], object] = time.sleep) -> Iterator[Look]:
    """Yields a look four times a second, or less often if looks take long, until the recording is over."""
    while True:
        begun = time.monotonic()
        look = follower.look()
        took = time.monotonic() - begun
        yield look
        if look.end is not None:
            return
        wait(max(_LEAST_SECONDS, took / _BUSY_SHARE))
