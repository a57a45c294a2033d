"""The documents say what is: generated pages are current, commands in the README exist, nothing private is named."""

from __future__ import annotations

import importlib.util
import re
import sqlite3
import subprocess
from types import ModuleType

import pytest
from support import PROJECT, webpf_command

import webpf
from webpf.storage import migrations


def generator() -> ModuleType:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", PROJECT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["schema.md", "queries.md", "how-it-works.md"])
def test_generated_pages_are_current(name: str) -> None:
    pages = {path.name: (path, page) for path, page in generator().PAGES.items()}
    path, page = pages[name]
    assert path.read_text(encoding="utf-8") == page(), "run make docs"


def test_every_column_of_the_processes_is_described() -> None:
    page = generator().schema_page()
    section = page.partition("## processes\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| [^|]* \| ([^|]*) \|$", section, re.MULTILINE)
    described = {name for name, text in rows if text}
    assert {name for name, _ in rows} - described == {"recording_id"}
    connection = sqlite3.connect(":memory:")
    for statement in migrations.STATEMENTS:
        connection.execute(statement)
    assert [name for name, _ in rows] == [row[1] for row in connection.execute("PRAGMA table_xinfo(processes)")]


def test_the_changelog_knows_this_version() -> None:
    assert f"## {webpf.__version__}" in (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_commands_in_the_readme_exist() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"webpf (record|query|recordings|rebuild|verify|stream|doctor|\w+)\b", readme))
    help_text = subprocess.run([*webpf_command(), "--help"], capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"^  ([a-z]+)  ", help_text, re.MULTILINE))
    assert commands <= shown, "a command that the README doesn't show"
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in re.findall(r"\bmake ([a-z]+)\b", " ".join(re.findall(r"`[^`]+`|^    .*$", readme, re.MULTILINE))):
        assert target in targets, f"make {target} is not in the Makefile"


def test_options_in_the_readme_exist() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    for command, line in re.findall(r"webpf (record|query|stream|recordings|rebuild|verify|doctor)\b([^`\n]*)", readme):
        options = re.findall(r"(?<!\S)(--[a-z-]+)", line)
        if options:
            text = subprocess.run(
                [*webpf_command(), command, "--help"], capture_output=True, text=True, check=True
            ).stdout
            for option in options:
                assert option in text, f"webpf {command} has no {option}"


def test_nothing_tells_of_one_machine() -> None:
    """No path of somebody's machine, and no package index by name."""
    private = re.compile(r"/work/|/root/|/home/\w+/|pypi\.org|deb\.debian\.org|registry\.npmjs")
    files = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    for name in filter(None, files):
        path = PROJECT / name
        if path.is_file() and path.suffix != ".png" and name != "tests/test_docs.py":
            found = private.search(path.read_text(encoding="utf-8", errors="replace"))
            assert found is None, f"{name} says {found[0] if found else ''}"
