"""The options that limit a command to a stretch of time and to some processes, in one container for all commands."""

from __future__ import annotations

import functools
import inspect
import signal
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

from ..errors import UsageError
from ..host import clock
from ..host.user_ids import uid_of
from ..model import durations, moments
from ..model.scope import Scope
from ..model.zone import SECOND_NS, Zone

_PATTERN = "* ? and [ make it a pattern. Can be repeated."
_PARAMETER = "scope"


@dataclass(frozen=True)
class ScopeOptions:
    """The values of the options as they are on the command line."""

    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help=f"Only what was alive since then: {moments.FORMS}."),
    ] = None
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="WHEN", help="Only what was alive until then. Without a day: the first such time then."
        ),
    ] = None
    utc: Annotated[bool, typer.Option("--utc", help="Times are in UTC. Default: in the recording's zone.")] = False
    local: Annotated[bool, typer.Option("--local", help="Times are in this machine's zone.")] = False
    user: Annotated[
        list[str] | None,
        typer.Option("--user", "--uid", metavar="USER", help="Only processes of this user. Can be repeated."),
    ] = None
    comm: Annotated[
        list[str] | None,
        typer.Option("--comm", metavar="NAME", help=f"Only processes with this name; {_PATTERN}"),
    ] = None
    cgroup: Annotated[
        list[str] | None,
        typer.Option("--cgroup", metavar="PATH", help=f"Only processes in this cgroup or below it; {_PATTERN}"),
    ] = None
    unit: Annotated[
        list[str] | None,
        typer.Option("--unit", metavar="UNIT", help=f"Only processes of this systemd unit; {_PATTERN}"),
    ] = None
    container: Annotated[
        list[str] | None,
        typer.Option(
            "--container", metavar="ID", help="Only processes in the container whose id begins so. Can be repeated."
        ),
    ] = None
    failed: Annotated[
        bool, typer.Option("--failed", help="Only processes that ended with a non-zero exit code or by a signal.")
    ] = False
    exit_code: Annotated[
        list[int] | None,
        typer.Option("--exit-code", metavar="N", help="Only processes that ended with this code. Can be repeated."),
    ] = None
    signal: Annotated[
        list[str] | None,
        typer.Option("--signal", metavar="NAME|N", help="Only processes that this signal ended. Can be repeated."),
    ] = None
    args: Annotated[
        list[str] | None,
        typer.Option("--args", metavar="REGEX", help="Only processes whose command line matches. Can be repeated."),
    ] = None
    min_lifetime: Annotated[
        str | None,
        typer.Option(
            "--min-lifetime", metavar=durations.METAVAR, help="Only processes that lived so long, such as 250ms."
        ),
    ] = None
    under: Annotated[
        int | None, typer.Option("--under", metavar="ID", help="Only the process with this id and its descendants.")
    ] = None

    def parse(self) -> Scope:
        """Returns the scope. Raises UsageError for a value that can't be read."""
        if self.utc and self.local:
            raise UsageError("--utc and --local contradict each other", "webpf query failures --since 03:00 --utc")
        lifetime = durations.parse("--min-lifetime", self.min_lifetime, "query lifetimes")
        return Scope(
            since=None if self.since is None else moments.parse("--since", self.since),
            until=None if self.until is None else moments.parse("--until", self.until),
            zone=Zone.utc() if self.utc else Zone.named(*clock.local_zone()) if self.local else None,
            uids=tuple(map(uid_of, self.user or ())),
            comms=tuple(self.comm or ()),
            cgroups=tuple(self.cgroup or ()),
            units=tuple(self.unit or ()),
            containers=tuple(self.container or ()),
            failed=self.failed,
            exit_codes=tuple(self.exit_code or ()),
            signals=tuple(map(_signal_number, self.signal or ())),
            args=tuple(self.args or ()),
            min_lifetime_ns=None if lifetime is None else round(lifetime * SECOND_NS),
            under=self.under,
        )


def takes_scope(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command these options. The command has a parameter `scope` of the type Scope for all of them."""
    options = typing.get_type_hints(ScopeOptions, include_extras=True)
    own = inspect.signature(command, eval_str=True)
    parameters = list(own.parameters.values())
    position = list(own.parameters).index(_PARAMETER)
    parameters[position : position + 1] = [
        inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=options[each.name]
        )
        for each in fields(ScopeOptions)
    ]

    @functools.wraps(command)
    def with_options(**values: Any) -> None:
        given = ScopeOptions(**{each.name: values.pop(each.name) for each in fields(ScopeOptions)})
        command(**values, **{_PARAMETER: given.parse()})

    keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    with_options.__signature__ = own.replace(parameters=keyword_only)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in keyword_only}
    return with_options


def _signal_number(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 128:
        return int(text)
    try:
        return signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"].value
    except KeyError:
        raise UsageError(f"--signal {text}: there is no such signal", "webpf query signals") from None
