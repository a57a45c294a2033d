"""The options that limit a command to a stretch of time and to some processes, in one container for all commands."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from ..analysis import scope_values
from . import option_group


def _parameter(field: scope_values.ScopeField) -> inspect.Parameter:
    """Returns the parameter of a command from which Typer makes the option of a field."""
    option = typer.Option(field.option, *field.aliases, metavar=field.metavar, help=field.help)
    kind: Any = int if field.is_number else str
    kind = bool if field.metavar is None else (list[kind] if field.is_repeated else kind) | None
    default = False if field.metavar is None else None
    return option_group.option(field.name, Annotated[kind, option], default)


takes_scope = option_group.takes("scope", [*map(_parameter, scope_values.FIELDS)], scope_values.parse)
"""Gives a command these options. The command has a parameter `scope` of the type Scope for all of them."""
