"""Explains a command line that Typer can't parse: in plain words, and with a command that helps."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from typing import Any

from ..errors import UsageError
from ..host.invocation import called_command

_SIMILARITY = 0.75  # cutoff of difflib: accepts --durration for --duration, but not --quiet for --user
_SYNONYMS = {"--username": "--user", "--file": "--db", "--database": "--db", "--time": "--duration"}
_SYNONYMS |= {"--seconds": "--duration", "--timeout": "--duration", "--out": "--output", "--id": "--recording"}
"""Names that other programs use for an option, and its name here."""

_EXAMPLES = {"query": "webpf query lifetimes -p min_ms=100", "merge": "webpf merge a.db b.db -o all.db"}
"""Example calls for commands that need arguments."""


def explain_parser_error(error: Exception) -> UsageError:
    """Returns the UsageError for an error of Typer's parser.

    Typer's error classes have no public names, so they are recognised by their attributes.
    """
    context = getattr(error, "ctx", None)
    command = _command_name(context)
    message = str(getattr(error, "format_message", error.__str__)()).splitlines()[0].removesuffix(".")
    explained = (
        _explain_option(error, context, command) or _explain_value(error) or _explain_other(message, context, command)
    )
    return explained or UsageError(f"{message[:1].lower()}{message[1:]}", f"{command} --help")


def _explain_option(error: Any, context: Any, command: str) -> UsageError | None:
    option = getattr(error, "option_name", None)
    if option is None:
        return None
    if not hasattr(error, "possibilities"):
        return UsageError(f"{option} needs a value", f"{command} --help")
    known = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
    synonym = _SYNONYMS.get(option)
    near = [synonym] if synonym in known else difflib.get_close_matches(option, known, 1, _SIMILARITY)
    meant = f": did you mean {near[0]}?" if near else ""
    return UsageError(f"{command} has no option {option}{meant}", f"{command} --help")


def _explain_value(error: Any) -> UsageError | None:
    """Explains a missing or wrong value of an option or argument."""
    parameter = getattr(error, "param", None)
    if parameter is None:
        return None
    command = _command_name(error.ctx)
    hint = _EXAMPLES.get(command.partition(" ")[2], f"{command} --help")
    name = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.metavar or parameter.name
    if hasattr(error, "param_type"):
        return UsageError(f"{command} needs {name}", hint)
    wanted, value = _expected_and_found(str(error.message))
    return UsageError(f"{name} takes {wanted}, not {value!r}", f"{command} --help") if wanted else None


def _expected_and_found(message: str) -> tuple[str, str]:
    """Returns what the value should be, and the value; '' for what isn't known."""
    found = re.match(r"""(?P<value>'.*'|".*"|\S+) is not (?P<reason>.*?)\.?$""", message)
    if found is None:
        return "", ""
    value, reason = found["value"], found["reason"]
    value = str(ast.literal_eval(value)) if value[0] in "'\"" else value
    if reason.startswith("one of "):
        names = re.findall(r"'([^']*)'", reason)
        return f"{', '.join(names[:-1])} or {names[-1]}", value
    least = re.match(r"in the range x>=(\d+)", reason)
    if least:
        return f"a whole number from {least[1]} on", value
    kinds = {"a valid int": "a whole number", "a valid float": "a number"}
    return next((words for kind, words in kinds.items() if reason.startswith(kind)), ""), value


def _explain_other(message: str, context: Any, command: str) -> UsageError | None:
    unknown = re.match(r"No such command '(.*?)'\.?(?: Did you mean (.*)\?)?", message)
    if unknown:
        meant = f": did you mean {unknown[2].replace(chr(39), '').replace(', ', ' or ')}?" if unknown[2] else ""
        return UsageError(f"webpf has no command {unknown[1]!r}{meant}", "webpf --help")
    extra = re.match(r"Got unexpected extra arguments? ?(?:\(s\) )?\(?(.*?)\)?$", message)
    if extra:
        hint = _EXAMPLES.get(command.partition(" ")[2], f"{command} --help")
        return UsageError(f"{command} takes no more arguments, but got {extra[1]}", hint)
    return None


def _command_name(context: Any) -> str:
    """Returns `webpf COMMAND` for the command that was called."""
    if context is None:
        return called_command()
    return " ".join(["webpf", *reversed([str(each.info_name) for each in _below_root(context)])])


def _below_root(context: Any) -> Iterator[Any]:
    while context.parent is not None:
        yield context
        context = context.parent
