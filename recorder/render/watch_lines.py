"""The lines of `webpf watch`: for people, as wide as the terminal, and as JSON."""

from __future__ import annotations

import json
from datetime import tzinfo

from ..analysis.followed_process import FollowedProcess
from ..output import units
from ..output.text_width import cut, fit

_WIDE = 110  # columns, from which on times have milliseconds, and names more room
_RED, _PLAIN = "\x1b[31m", "\x1b[0m"


class LineFormat:
    """Formats processes as lines. width: of the terminal; None: lines are not cut. has_colors: failed ones are red."""

    def __init__(self, zone: tzinfo | None, knows_users: bool, width: int | None, has_colors: bool) -> None:
        self._zone = zone
        self._knows_users = knows_users
        self._width = width
        self._has_colors = has_colors
        self._is_wide = width is None or width >= _WIDE

    def header(self) -> str:
        """Returns the line above all others."""
        return self._line("time", "user", "pid", "parent", "lifetime", "CPU", "outcome", "command")

    def start(self, process: FollowedProcess) -> str:
        """Returns the line of a process that starts."""
        return self._line(*self._who(process.start_ns, process), "", "", "start", process.command)

    def end(self, process: FollowedProcess) -> str:
        """Returns the line of a process that has ended."""
        lifetime = "" if process.end_ns is None else units.duration(process.end_ns - process.start_ns)
        cpu = "" if process.cpu_ns is None else units.duration(process.cpu_ns)
        line = self._line(*self._who(process.end_ns, process), lifetime, cpu, outcome(process), process.command)
        return f"{_RED}{line}{_PLAIN}" if self._has_colors and process.outcome in ("failed", "signalled") else line

    def _who(self, time_ns: int | None, process: FollowedProcess) -> tuple[str, str, str, str]:
        moment = "" if time_ns is None else units.time_of_day(time_ns, self._zone, self._is_wide)
        user = "" if process.uid is None else units.user_name(process.uid, self._knows_users)
        parent = process.parent or ("" if process.ppid is None else str(process.ppid))
        return moment, user, str(process.pid), parent

    def _line(
        self, moment: str, user: str, pid: str, parent: str, lifetime: str, cpu: str, how: str, command: str
    ) -> str:
        wide = self._is_wide
        parts = [
            fit(moment, 12 if wide else 8),
            fit(user, 8),
            pid.rjust(7),
            fit(parent, 15 if wide else 9),
            lifetime.rjust(9),
            cpu.rjust(9),
            fit(how, 8 if wide else 7),
        ]
        line = f"{' '.join(parts)} {command}"
        return cut(line, self._width).rstrip()


def outcome(process: FollowedProcess) -> str:
    """Returns how a process ended, in a word or two: ok, exit 3, KILL, SEGV core, lost."""
    if process.signal is not None:
        return units.short_signal_name(process.signal) + (" core" if process.core_dumped else "")
    if process.exit_code:
        return f"exit {process.exit_code}"
    return process.outcome


def json_line(event: str, process: FollowedProcess, zone: tzinfo | None, knows_users: bool) -> str:
    """Returns an object for a process that has started or ended, on one line."""

    def text(ns: int | None) -> str | None:
        return None if ns is None else units.zoned_moment(ns, zone, "milliseconds")

    lifetime = None if process.end_ns is None else round((process.end_ns - process.start_ns) / 1e6, 3)
    return json.dumps(
        {
            "event": event,
            "start_ns": process.start_ns,
            "start": text(process.start_ns),
            "end_ns": process.end_ns,
            "end": text(process.end_ns),
            "pid": process.pid,
            "ppid": process.ppid,
            "parent": process.parent,
            "uid": process.uid,
            "user": None if process.uid is None else units.user_name(process.uid, knows_users),
            "comm": process.comm,
            "args": process.args,
            "lifetime_ms": lifetime,
            "cpu_ms": None if process.cpu_ns is None else round(process.cpu_ns / 1e6, 3),
            "max_rss_kib": process.max_rss_kib,
            "outcome": process.outcome,
            "exit_code": process.exit_code,
            "signal": process.signal,
            "core_dumped": process.core_dumped,
            "unit": process.unit,
            "container": process.container,
            "recording": process.recording,
            "id": process.id,
        }
    )
