"""`webpf query NAME --help` shows a query's parameters and columns; without a name, --help is about the command."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from story import BUILD
from support import PROJECT, make_recording

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
NAMES = sorted(path.stem for path in (PROJECT / "queries").glob("*.sql"))


def head(name: str) -> str:
    """Returns the head of the file, with one line for each entry."""
    comments = re.match(r"(?:-- .*\n)+", (PROJECT / "queries" / f"{name}.sql").read_text(encoding="utf-8"))
    assert comments is not None
    return comments[0].replace("\n--   ", " ")


def words(text: str) -> str:
    """Returns a text without line breaks, even if a line breaks after a hyphen."""
    return re.sub(r"-\s+", "-", " ".join(text.split()))


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_the_head_says_and_its_example_runs(webpf: Webpf, tmp_path: Path, name: str) -> None:
    answer = webpf("query", name, "--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    shown, said = words(answer.stdout), head(name)
    for key in ("title", "description"):
        [text] = re.findall(rf"^-- {key}: (.*)", said, re.MULTILINE)
        assert words(text) in shown
    entries = re.findall(r"^-- (?:param|column) (\w+): (.*)", said, re.MULTILINE)
    assert len(entries) >= 5
    for key, text in entries:
        assert f" {key} {words(text)}" in shown
    make_recording(tmp_path / "webpf.db", BUILD)
    [example] = re.findall(r"\nExample:\n  (.*)\n", answer.stdout)
    before, _, arguments = example.partition(f" query {name} ")
    assert before.endswith("webpf") and arguments
    answer = webpf("query", name, *shlex.split(arguments))
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_name_may_stand_anywhere(webpf: Webpf) -> None:
    shown = webpf("query", "execs", "--help").stdout
    assert webpf("query", "-h", "execs").stdout == webpf("query", "--limit", "5", "execs", "-h").stdout == shown


def test_required_parameters_are_in_the_first_line(webpf: Webpf) -> None:
    usage = {name: webpf("query", name, "--help").stdout.partition("\n")[0] for name in ("execs", "failures")}
    assert " query execs -p pid=INTEGER " in usage["execs"]
    assert " query failures [-p KEY=VALUE]... " in usage["failures"]


def test_without_a_name_it_is_about_the_command(webpf: Webpf) -> None:
    shown = webpf("query", "--help").stdout
    assert "--format" in shown and "--sql" in shown and "Columns:" not in shown


@pytest.mark.parametrize("name", ["nosuch", "liftimes", "", "query"])
def test_an_unknown_query(webpf: Webpf, name: str) -> None:
    with_help, without = webpf("query", name, "--help"), webpf("query", name)
    assert with_help.returncode == without.returncode == 64
    assert with_help.stdout == without.stdout == ""
    assert with_help.stderr == without.stderr
    assert with_help.stderr.count("\n") == 1


def test_a_wrong_option_is_refused_as_without_help(webpf: Webpf) -> None:
    answer = webpf("query", "lifetimes", "--nosuch", "--help")
    assert (answer.returncode, answer.stdout) == (64, "")
    assert answer.stderr.startswith("webpf: webpf query has no option --nosuch")
