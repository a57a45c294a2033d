"""The command `top`: what starts, ends and fails now, by command, unit, user or container."""

from __future__ import annotations

import os
import sys

from ..errors import UsageError
from ..host.optional_modules import needed
from ..model.scope import EVERYTHING, Scope
from .live_options import followed
from .recording_choice import Db, File, Recording
from .scope_options import takes_scope


@takes_scope
def top(
    file: File = None,
    recording: Recording = None,
    db: Db = None,
    scope: Scope = EVERYTHING,
) -> None:
    """Show what starts, ends and fails now.

    It also shows what top never sees, because it ends too soon. CPU time, memory and run delay are those of processes
    that have ended. Follows a recording as webpf watch does. Needs the Python package textual.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):  # textual writes to stderr
        raise UsageError("top needs a terminal", "webpf watch")
    with needed("webpf top", "textual"):
        from .top_app import TopApp
    with followed(file, db, recording, scope, "top", shows_messages=False) as follower:
        follower.reads_alive_again = True

        def user_name(uid: int) -> str:
            from ..output import units
            from .row_options import style_for

            known = follower.recording is not None and style_for([follower.recording]).knows_users
            return units.user_name(uid, known)

        app = TopApp(follower, user_name, lambda: follower.recording.time_zone if follower.recording else None)
        app.run()
    if app.return_code:
        raise SystemExit(os.EX_SOFTWARE)
