"""The values of a scope as people give them: as options of a command, or in the address of a page."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..host import clock
from ..host.user_ids import uid_of
from ..model import durations, moments
from ..model.scope import Scope
from ..model.zone import SECOND_NS, Zone
from . import query_header

_PATTERN = "* ? and [ make it a pattern. Can be repeated."


@dataclass(frozen=True)
class ScopeField:
    """One value of a scope. name: as in Python. metavar: what it takes; None for a switch. aliases: other options."""

    name: str
    metavar: str | None
    help: str
    is_repeated: bool = False
    is_number: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return f"--{self.name.replace('_', '-')}"


FIELDS = (
    ScopeField("since", "WHEN", f"Only what was alive since then: {moments.FORMS}."),
    ScopeField("until", "WHEN", "Only what was alive until then. Without a day: the first such time then."),
    ScopeField("utc", None, "Times are in UTC. Default: in the recording's zone."),
    ScopeField("local", None, "Times are in this machine's zone."),
    ScopeField("user", "USER", "Only processes of this user. Can be repeated.", True, aliases=("--uid",)),
    ScopeField("comm", "NAME", f"Only processes with this name; {_PATTERN}", True),
    ScopeField("cgroup", "PATH", f"Only processes in this cgroup or below it; {_PATTERN}", True),
    ScopeField("unit", "UNIT", f"Only processes of this systemd unit; {_PATTERN}", True),
    ScopeField("container", "ID", "Only processes in the container whose id begins so. Can be repeated.", True),
    ScopeField("failed", None, "Only processes that ended with a non-zero exit code or by a signal."),
    ScopeField("exit_code", "N", "Only processes that ended with this code. Can be repeated.", True, True),
    ScopeField("signal", "NAME|N", "Only processes that this signal ended. Can be repeated.", True),
    ScopeField("args", "REGEX", "Only processes whose command line matches. Can be repeated.", True),
    ScopeField("min_lifetime", durations.METAVAR, "Only processes that lived so long, such as 250ms."),
    ScopeField("under", "ID", "Only the process with this id and its descendants.", is_number=True),
)
"""All values, in the order of --help."""


def parse(given: Mapping[str, Any], whole_chain: bool = False) -> Scope:
    """Returns the scope of these values by the names of FIELDS. Raises UsageError for one that can't be read.

    A repeated field has a list, a switch a bool; a number may be text. A field that isn't given is missing, or None.
    whole_chain: see Scope.
    """
    if given.get("utc") and given.get("local"):
        raise UsageError("--utc and --local contradict each other", "webpf query failures --since 03:00 --utc")
    since, until, under = given.get("since"), given.get("until"), given.get("under")
    lifetime = durations.parse("--min-lifetime", given.get("min_lifetime"), "query lifetimes")
    return Scope(
        since=None if since is None else moments.parse("--since", since),
        until=None if until is None else moments.parse("--until", until),
        zone=Zone.utc() if given.get("utc") else Zone.named(*clock.local_zone()) if given.get("local") else None,
        uids=tuple(map(uid_of, _all(given, "user"))),
        comms=_all(given, "comm"),
        cgroups=_all(given, "cgroup"),
        units=_all(given, "unit"),
        containers=_all(given, "container"),
        failed=bool(given.get("failed")),
        exit_codes=tuple(_number("--exit-code", each) for each in _all(given, "exit_code")),
        signals=tuple(map(_signal_number, _all(given, "signal"))),
        args=_all(given, "args"),
        min_lifetime_ns=None if lifetime is None else round(lifetime * SECOND_NS),
        under=None if under is None else _number("--under", under),
        whole_chain=whole_chain,
    )


def _all(given: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    values: Iterable[Any] | None = given.get(name)
    return tuple(values or ())


def _number(option: str, value: int | str) -> int:
    if not query_header.is_of_type(str(value), "integer"):
        raise UsageError(f"{option} takes a whole number, not {str(value)!r}", f"webpf query lifetimes {option} 1")
    return int(value)


def _signal_number(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 128:
        return int(text)
    try:
        return signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"].value
    except KeyError:
        raise UsageError(f"--signal {text}: there is no such signal", "webpf query signals") from None
