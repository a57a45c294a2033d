"""`webpf --help` at 80 columns: each command has one line, which shows all of the first sentence of its help."""

from __future__ import annotations

import re
from collections.abc import Callable
from subprocess import CompletedProcess

import typer.main

from webpf.cli import app

MOST = 45
"""Characters of a first sentence: what 80 columns have room for, behind the longest name of a command."""


def first_sentences() -> dict[str, str]:
    """Returns the first sentence of each command's help."""
    commands = typer.main.get_group(app.build()).commands
    return {name: (command.help or "").partition("\n\n")[0] for name, command in commands.items()}


def test_first_sentences_are_short() -> None:
    for name, sentence in first_sentences().items():
        assert re.fullmatch(r"[A-Z][^.]+[.]", sentence), f"{name}: one sentence, then an empty line, not {sentence!r}"
        assert len(sentence) <= MOST, f"{name}: {len(sentence)} characters, at most {MOST}: {sentence}"


def test_they_are_shown_whole(webpf: Callable[..., CompletedProcess[str]]) -> None:
    text = webpf("--help", env={"COLUMNS": "80"}).stdout
    shown = dict(re.findall(r"^  ([a-z][a-z-]*)  +(.*)$", text.partition("Commands:\n")[2], re.MULTILINE))
    assert shown == first_sentences()
    assert "..." not in text.partition("Commands:\n")[2]
