"""The documents say what is: generated pages are current, commands and links exist, nothing private is named."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from support import PROJECT, webpf_command
from wheels import tracked_files

import webpf
from tools.docs import command_line, generate, man_page
from webpf import errors
from webpf.cli import app
from webpf.storage import schema

# What users read, and what is checked in it.
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{name}.md" for name in ("usage", "limits", "security", "json", "service", "ci")),
]


def text_of(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


@cache
def help_of(*command: str) -> str:
    return subprocess.run([*webpf_command(), *command, "--help"], capture_output=True, text=True, check=True).stdout


def command_names() -> set[str]:
    """All commands, as `webpf --help` lists them."""
    return set(re.findall(r"^  ([a-z][a-z-]*)  ", help_of(), re.MULTILINE))


@pytest.mark.parametrize("path", generate.PAGES, ids=lambda path: path.name)
def test_generated_pages_are_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate.PAGES[path](), "run make docs"


def test_each_command_has_its_help_in_the_reference() -> None:
    page = text_of("docs/cli.md")
    for name in command_names():
        assert f"## webpf {name}\n" in page
        answer = subprocess.run(
            [Path(sys.executable).parent / "webpf", name, "--help"],
            env=os.environ | {"COLUMNS": "80"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert answer.stdout.strip() in page, f"webpf {name} --help"


@pytest.mark.parametrize("command", list(command_line.commands())[1:], ids=lambda command: command.name)
def test_each_command_has_examples_that_parse(command: command_line.Command) -> None:
    """Its own parser takes them; what is recorded isn't run."""
    names = command.name.split()
    parser: Any = typer.main.get_group(app.build())
    for name in names:
        parser = parser.commands[name]
    assert command.examples, "give its line in cli/app.py an example"
    for example in command.examples:
        words = shlex.split(example.removeprefix("sudo ").partition(" >")[0])
        assert words[: 1 + len(names)] == ["webpf", *names]
        parser.make_context(command.name, words[1 + len(names) :])


MAN_PAGE = PROJECT / "docs" / "webpf.1"
NO_DATE = 'WARNING: missing date, using "": TH'


@pytest.mark.parametrize(
    "checker",
    ["groff -man -Tutf8 -ww -z", "man --warnings -l", "mandoc -T lint -W warning"],
    ids=lambda checker: checker.split()[0],
)
def test_the_manual_page_is_sound(checker: str) -> None:
    """The formatters have nothing to say of it, but that it has no date: that would change."""
    if shutil.which(checker.split(maxsplit=1)[0]) is None:
        pytest.skip(f"no {checker.split(maxsplit=1)[0]}")
    answer = subprocess.run([*checker.split(), MAN_PAGE], capture_output=True, text=True, check=False)
    warnings = answer.stderr if "mandoc" not in checker else answer.stdout + answer.stderr
    assert [line for line in warnings.splitlines() if NO_DATE not in line] == []


def test_the_manual_page_is_complete() -> None:
    text = MAN_PAGE.read_text(encoding="utf-8").replace("\\-", "-")
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"):
        assert f"\n.SH {section}\n" in text
    for command in command_line.commands():
        assert command.variables <= man_page.variables()
        assert all(f"\n.B {label}\n" in text for label, _ in command.options), command.name
    codes = {error.exit_code for error in vars(errors).values() if getattr(error, "exit_code", None)}
    assert codes <= set(man_page.exit_codes())


def test_every_column_of_the_processes_is_described() -> None:
    page = generate.schema_page()
    section = page.partition("## processes\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| [^|]* \| ([^|]*) \|$", section, re.MULTILINE)
    described = {name for name, text in rows if text}
    assert {name for name, _ in rows} - described == {"recording_id"}
    connection = sqlite3.connect(":memory:")
    for statement in schema.STATEMENTS:
        connection.execute(statement)
    assert [name for name, _ in rows] == [row[1] for row in connection.execute("PRAGMA table_xinfo(processes)")]


def test_the_changelog_knows_this_version() -> None:
    assert f"## {webpf.__version__}" in (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_command_is_shown() -> None:
    shown = {name for page in PAGES for name in re.findall(r"\bwebpf ([a-z][a-z-]*)\b", text_of(page))}
    commands = command_names()
    assert {"record", "datasette-config"} <= commands <= shown, "a command that no page shows"


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    code = re.findall(r"`[^`]+`|^    .*$", text_of(page), re.MULTILINE)
    named = set(re.findall(r"\bmake ([a-z]+)\b", " ".join(code)))
    assert named <= targets, f"not in the Makefile: {named - targets}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_exist(page: str) -> None:
    commands = command_names()
    for command, line in re.findall(r"(?:`|^    .*|bin/)webpf ([a-z][a-z-]*)\b([^`\n#]*)", text_of(page), re.MULTILINE):
        assert command in commands, f"webpf {command}"
        text = help_of(command)
        if "\nCommands:\n" in text:
            text = help_of(command, *line.split()[:1])
        for option in re.findall(r"(?<!\S)(--[a-z-]+)", line.partition(" -- ")[0]):
            assert re.search(rf"{option}\b", text), f"webpf {command} has no {option}"


@pytest.mark.parametrize("page", PAGES)
def test_saved_queries_exist(page: str) -> None:
    queries = {path.stem for path in (PROJECT / "queries").glob("*.sql")}
    assert set(re.findall(r"webpf query ([a-z_]+)", text_of(page))) <= queries


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    folder = (PROJECT / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        name, _, anchor = target.partition("#")
        if "://" in target:
            continue
        path = folder / name if name else PROJECT / page
        assert path.exists(), target
        headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, target


def test_the_readme_stays_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 150, "move it to docs/usage.md or docs/limits.md"


def test_nothing_tells_of_one_machine() -> None:
    """No path of somebody's machine, and no package index by name."""
    private = re.compile(r"/work/|/root/|/home/\w+/|pypi\.org|deb\.debian\.org|registry\.npmjs")
    for name in tracked_files():
        if not name.endswith(".png") and name != "tests/house/test_docs.py":
            found = private.search((PROJECT / name).read_text(encoding="utf-8", errors="replace"))
            assert found is None, f"{name} says {found[0] if found else ''}"


def test_no_text_installs_webpf_from_an_index() -> None:
    for name in tracked_files("recorder", "docs", "README.md"):
        text = (PROJECT / name).read_bytes()
        assert not re.search(rb"pip install[^\n`]*[' ]webpf\b(?!/)", text), name
