"""The options that limit a command to a stretch of time and to some processes, in one container for all commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ..analysis import scope_values

_PARAMETER = "scope"


def takes_scope(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command these options. The command has a parameter `scope` of the type Scope for all of them."""
    own = inspect.signature(command, eval_str=True)
    parameters = list(own.parameters.values())
    position = list(own.parameters).index(_PARAMETER)
    parameters[position : position + 1] = map(_parameter, scope_values.FIELDS)

    @functools.wraps(command)
    def with_options(**values: Any) -> None:
        given = {each.name: values.pop(each.name) for each in scope_values.FIELDS}
        command(**values, **{_PARAMETER: scope_values.parse(given)})

    keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    with_options.__signature__ = own.replace(parameters=keyword_only)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in keyword_only}
    return with_options


def _parameter(field: scope_values.ScopeField) -> inspect.Parameter:
    """Returns the parameter of a command from which Typer makes the option of a field."""
    option = typer.Option(field.option, *field.aliases, metavar=field.metavar, help=field.help)
    kind: Any = int if field.is_number else str
    kind = bool if field.metavar is None else (list[kind] if field.is_repeated else kind) | None
    default = False if field.metavar is None else None
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )
