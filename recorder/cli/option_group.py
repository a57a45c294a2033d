"""Options that go together, in one parameter of a command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def takes(
    parameter: str, options: Sequence[inspect.Parameter], parse: Callable[[Mapping[str, Any]], Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Returns a decorator that gives a command these options. parameter: the one that gets what `parse` returns."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        parameters = list(own.parameters.values())
        position = list(own.parameters).index(parameter)
        parameters[position : position + 1] = options

        @functools.wraps(command)
        def with_options(**values: Any) -> None:
            given = {each.name: values.pop(each.name) for each in options}
            command(**values, **{parameter: parse(given)})

        keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        with_options.__signature__ = own.replace(parameters=keyword_only)  # type: ignore[attr-defined]
        with_options.__annotations__ = {each.name: each.annotation for each in keyword_only}
        return with_options

    return decorate


def option(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """Returns an option for takes(). annotation: as of a parameter of a command."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
