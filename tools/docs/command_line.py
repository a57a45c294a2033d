"""The commands of webpf with their options and examples, as in `--help`; and docs/cli.md, which is made from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer
import typer.main

from webpf.cli import app

WIDTH = 78
"""Columns of the help texts in docs/cli.md: as on a terminal of 80."""


@dataclass(frozen=True)
class Command:
    """A command, or webpf itself with an empty name.

    usage: the words after the name. paragraphs: those of its help; the first is one sentence. arguments, options: pairs
    such as `-o, --output FILE` and a description. variables: the environment variables that it reads. help: the whole
    text, as it is printed.
    """

    name: str
    usage: str
    paragraphs: list[str]
    arguments: list[tuple[str, str]]
    options: list[tuple[str, str]]
    variables: set[str]
    examples: list[str]
    help: str


def commands() -> Iterator[Command]:
    """Returns webpf itself, then each command in the order of `webpf --help`, a group before its commands."""
    group: Any = typer.main.get_command(app.build())
    root = typer.Context(group, info_name="webpf", **_LAYOUT)
    yield _described("", group, root)
    for name, command in group.commands.items():
        context = typer.Context(command, info_name=name, parent=root, **_LAYOUT)
        yield _described(name, command, context)
        for part, below in getattr(command, "commands", {}).items():
            inner = typer.Context(below, info_name=part, parent=context, **_LAYOUT)
            yield _described(f"{name} {part}", below, inner)


_LAYOUT: dict[str, Any] = {
    "terminal_width": WIDTH,
    "max_content_width": WIDTH,
    "help_option_names": ["-h", "--help"],
}


def _described(name: str, command: Any, context: Any) -> Command:
    parameters = command.get_params(context)
    records = [(each.param_type_name, record) for each in parameters if (record := each.get_help_record(context))]
    return Command(
        name=name,
        usage=" ".join(command.collect_usage_pieces(context)),
        paragraphs=[" ".join(text.split()) for text in (command.help or "").split("\n\n")],
        arguments=[(label.partition(" <")[0], text) for kind, (label, text) in records if kind == "argument"],
        options=[record for kind, record in records if kind == "option"],
        variables={each.envvar for each in parameters if each.envvar},
        examples=[line.strip() for line in (command.epilog or "").splitlines() if line.startswith("  ")],
        help=str(command.get_help(context)),
    )


def cli_page() -> str:
    """Returns docs/cli.md: the help of each command."""
    lines = [
        "# The command line",
        "",
        "Made from `webpf --help` by `make docs`. [usage.md](usage.md) shows how the commands go together. The manual"
        " page [webpf.1](webpf.1) has the same text, and also the exit codes, files and environment variables:"
        " `man -l docs/webpf.1`.",
    ]
    for command in commands():
        lines += ["", f"## webpf {command.name}".rstrip(), "", "```text", command.help, "```"]
    return "\n".join(lines) + "\n"
