"""A scope: which processes of a recording, or of a chain of recordings, a question is about."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import UsageError
from . import durations
from .moments import Moment
from .zone import SECOND_NS, Zone


@dataclass(frozen=True)
class Scope:
    """A stretch of time, and filters. Without any of them, it is everything.

    zone: in which times are meant; None: in that of the recording. comms, cgroups, units: exact or, with * ? or [, as
    patterns. containers: the same, or the first characters of an id. exit_codes, signals: processes that ended with one
    of these. args: regular expressions. under: the id of a process, for it and all its descendants. whole_chain: of a
    chain, everything where no time is given, and not only its end.
    """

    since: Moment | None = None
    until: Moment | None = None
    zone: Zone | None = None
    uids: tuple[int, ...] = ()
    comms: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    failed: bool = False
    exit_codes: tuple[int, ...] = ()
    signals: tuple[int, ...] = ()
    args: tuple[str, ...] = ()
    min_lifetime_ns: int | None = None
    under: int | None = None
    whole_chain: bool = False

    @property
    def has_times(self) -> bool:
        """Whether it names a stretch of time."""
        return self.since is not None or self.until is not None

    @property
    def filters(self) -> tuple[str, ...]:
        """Its filters as options, in words that a shell takes."""
        return tuple(self._filters())

    @property
    def is_everything(self) -> bool:
        """Whether it names neither a time nor a filter."""
        return not self.has_times and not self.filters

    def _filters(self) -> Iterator[str]:
        named = {
            "--user": self.uids, "--comm": self.comms, "--cgroup": self.cgroups, "--unit": self.units,
            "--container": self.containers, "--exit-code": self.exit_codes, "--signal": self.signals,
            "--args": self.args,
        }  # fmt: skip
        for option, values in named.items():
            yield from (f"{option} {shlex.quote(str(value))}" for value in values)
        if self.failed:
            yield "--failed"
        if self.min_lifetime_ns is not None:
            yield f"--min-lifetime {durations.text(self.min_lifetime_ns / SECOND_NS)}"
        if self.under is not None:
            yield f"--under {self.under}"

    def stretch(self, zone: Zone, now_ns: int) -> tuple[int | None, int | None]:
        """Returns its begin and its end in Unix ns; None where it is open. Both belong to it.

        zone: of the recording. Raises UsageError if the end is before the begin, or for a time that doesn't exist.
        """
        meant = self.zone or zone
        since = None if self.since is None else self.since.unix_ns(meant, now_ns)
        until = None if self.until is None else self.until.unix_ns(meant, now_ns, since)
        if since is not None and until is not None and until < since:
            message = f"--until {meant.text(until)} is before --since {meant.text(since)}"
            raise UsageError(
                message, f"webpf query failures --since '{meant.text(until)}' --until '{meant.text(since)}'"
            )
        return since, until


EVERYTHING = Scope()
"""The scope without any limit."""
