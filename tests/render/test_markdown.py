"""The output of --format markdown: tables for a comment on GitHub, in which no name of a process acts as markup."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from story import BUILD
from support import exec_, exit_, fork, free, make_recording, seen
from typer.testing import CliRunner

from webpf.cli import app
from webpf.model.events import Event
from webpf.output.command_label import cut
from webpf.output.escape import safe
from webpf.render import markdown

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

COMMENT = 65_536
"""Characters that GitHub takes in a comment."""
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
INLINE = {"text", "code_inline", "strong_open", "strong_close", "softbreak"}
BLOCKS = {
    f"{name}_{end}"
    for name in ("heading", "paragraph", "blockquote", "table", "thead", "tbody", "tr", "th", "td")
    for end in ("open", "close")
} | {"inline"}
PLANTED = [
    "[link](http://evil.example)", "![image](//evil.example/a.png)", "<img src=x onerror=alert(1)>", "<!-- ", "-->",
    "@everyone", "a|b\\|c\\\\|d", "`", "``` ```", "`x`|`y`", "~~~", "https://evil.example/?a=b", "www.evil.example",
    "owner/name#1", "#1", "&lt;b&gt;&#124;", "a\nb\n\n# heading\n", "\r| a | b |\r|---|---|", "* * *", "\\", "|", " ",
    "  x ", "\u202egnp.exe", "\x1b[31mred", "x" * 500, "`" * 500, "$(x)", "└└└", "│", "…", "\xff",
]  # fmt: skip


def tokens(text: str) -> Iterator[Token]:
    """Yields all tokens of a document."""
    for token in PARSER.parse(text):
        yield token
        yield from token.children or []


def spans(text: str) -> list[str]:
    """Returns the code spans of a document. The rest must not be a link, image, HTML, mention, heading or list."""
    found = []
    for token in tokens(text):
        assert token.type in BLOCKS | INLINE, token
        if token.type == "code_inline":
            found.append(token.content)
        elif token.type == "text":
            assert not any(
                mark in token.content for mark in ("@", "http", "www.", "evil", "<", "|", "`", "#1", "\\")
            ), token.content
    return found


def shapes(text: str) -> list[list[int]]:
    """Returns the numbers of cells in the rows of each table."""
    tables: list[list[int]] = []
    for token in PARSER.parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append(0)
        elif token.type in ("td_open", "th_open"):
            tables[-1][-1] += 1
    return tables


ANY = st.text(st.sampled_from("`|\\<>[]()!@#&;*_~ \n\t-a1/:.$\u202e└│"), max_size=90)


@given(ANY)
@example("`")
@example(" `")
@example("\\|")
@example("``|` ")
@example("   ")
def test_a_text_is_one_code_span(text: str) -> None:
    """This holds in a paragraph, in a heading and in table cells, and the parser reads the same text back."""
    shown = cut(safe(text), markdown.WIDTH) or "?"
    assert spans(f"# a {markdown.code(text)}\n\nb {markdown.code(text)} c {markdown.code(text)}") == [shown] * 3
    cell = markdown.code(text, in_table=True)
    table = "\n".join(markdown.table(["a", ">b"], [[cell, "1"], [f"2 x {cell}", cell]]))
    assert spans(table) == [shown] * 3
    assert shapes(table) == [[2, 2, 2]]


def test_more_backticks_than_github_counts() -> None:
    """GitHub's parser gives up at 80 backticks."""
    assert len(markdown.code("`" * 1000)) < 2 * 80 + markdown.WIDTH
    assert spans(markdown.code("`" * 1000)) == ["`" * (markdown.WIDTH - 3) + "..."]


@pytest.mark.parametrize("text", ["exit 3", "signal 9", "recording 1 lost 5 events: counts are a lower bound"])
def test_words_of_webpf_are_no_code(text: str) -> None:
    assert markdown.plain(text) == text


@pytest.mark.parametrize("text", ["exit @me", "www.evil.example", "`", "a|b", "<b>"])
def test_words_of_a_made_up_file_are_code(text: str) -> None:
    assert spans(markdown.plain(text)) == [text]


def planted(db: Path, words: list[str], name: str = "") -> None:
    """Makes a recording whose programs, arguments and processes have these names. Half of them fail."""
    events: list[Event] = [seen(1, -5000, ppid=0)]
    for number, word in enumerate(words):
        pid, start, raw = 100 + number, number * 10, word.encode("utf-8", "surrogateescape").replace(b"\0", b"")
        for child in (pid, 1000 + pid):
            events += [
                fork(child, start, parent_ms=-5000, comm="init"),
                exec_(child, start, start + 1, raw.replace(b"/", b"") + b"\0" + raw + b"\0", word[:15]),
                exit_(child, start, start + 100 + number, number % 2 * 256, comm=word[:15]),
                free(child, start, start + 200, cpu_ms=50, status=number % 2 * 256),
            ]
    events.sort(key=lambda event: event.time_ns)
    make_recording(db, events, name=name, batch=100)


def planted_everywhere(folder: Path, word: str) -> list[list[str]]:
    """Recordings with a name as program, argument, recording, machine and file; and the commands that show it."""
    db = folder / f"{word.replace('/', '')[:20]}.db"
    planted(db, [word], word)
    planted(db, ["true"], word)
    planted(db, [word, word + "2"], word)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute('UPDATE recordings SET host = ?, options = \'{"of": "command"}\'', [word])
    file = str(db)
    return [["report", file, "--recording", "1"], ["diff", "--db", file, "1", "2"], ["diff", "--db", file]]


def is_harmless(text: str, word: str) -> bool:
    """Returns whether a planted name is only in code spans, and the tables have all their cells."""
    tables = shapes(text)
    assert len(tables) == 2 and all(len(set(cells)) == 1 for cells in tables), text
    return cut(safe(word), markdown.WIDTH) in spans(text) or not word.strip()


@pytest.mark.parametrize("word", PLANTED)
def test_a_planted_name_is_no_markup(word: str, tmp_path: Path) -> None:
    for command in planted_everywhere(tmp_path, word):
        ended = CliRunner().invoke(app.build(command[0]), [*command, "--format", "markdown"])
        assert ended.exit_code == 0 and is_harmless(ended.stdout, word)


@pytest.mark.parametrize("word", ["└x└", "│"])
def test_no_encoding_makes_markup_of_a_name(word: str, tmp_path: Path, webpf: Webpf) -> None:
    """In ASCII these would become ` and |."""
    for command in planted_everywhere(tmp_path, word):
        ended = webpf(*command, "--format", "markdown", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
        assert ended.returncode == 0 and is_harmless(ended.stdout, word)


@pytest.mark.parametrize("command", [["report"], ["diff"]])
def test_it_fits_a_comment(command: list[str], tmp_path: Path, webpf: Webpf) -> None:
    long = [f"{number}{'|`' * 2000}" for number in range(100)]
    planted(tmp_path / "webpf.db", ["true", *long[:50]], "n" * 5000)
    planted(tmp_path / "webpf.db", ["true", *long[50:]], "n" * 5000)
    text = webpf(*command, "--format", "markdown").stdout
    assert 500 < len(text) < COMMENT / 4


def test_a_report(tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", BUILD, name="nightly")
    lines = webpf("report", "--format", "markdown").stdout.splitlines()
    assert lines[:3] == [
        "## webpf report: all processes",
        "",
        "Recording 1 in `webpf.db`, `nightly`, on `testhost`:"
        " 12 processes started in 1.00 s; 6 failed; 1 still running.",
    ]
    assert lines[3:5] == [
        "",
        "Costs (lower bound, without 2 processes): user 49.50 ms, system 16.50 ms; read 5 KiB, wrote 40 KiB;"
        " waited 0 us for a processor. Of the waiting: 0 us for a processor; 186.00 ms asleep, or waiting for the disk"
        " or the network.",
    ]
    assert "| failed | `gcc a.c` | exit 1 |" in lines
    assert any(line.startswith("| repeated | 2 x `gcc -c a.c` in ") for line in lines)
    assert "### Critical path" in lines


def test_a_diff(tmp_path: Path, webpf: Webpf) -> None:
    """It lists the five largest of seven changes: first activities that fail more often, then by time."""
    planted(tmp_path / "webpf.db", ["a", "b"])
    planted(tmp_path / "webpf.db", ["b", "a", *(f"new{number}" for number in range(6))])
    ended = webpf("diff", "--format", "markdown", "--fail-if", "failures>0")
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, "webpf: more than allowed: failures>0")
    lines = ended.stdout.splitlines()
    assert lines[:5] == [
        "## webpf diff",
        "",
        "Before: recording 1 in `webpf.db`. After: recording 2 in `webpf.db`.",
        "",
        "**More than allowed:** `failures>0`",
    ]
    assert "| wall | 1.00 s | 1.00 s | the same |" in lines
    assert "| processes | 4 | 16 | +300.0% |" in lines
    changes = lines[lines.index("| activity | largest changes |") + 2 :]
    assert [line.split("|")[1].strip() for line in changes[:5]] == ["`a`", "`new5`", "`new4`", "`new3`", "`new2`"]
    assert changes[0] == "| `a` | failing more 0 -> 2 (from nothing) |"
    assert changes[6] == "and 3 more."  # `b` fails less


def test_what_is_not_whole_says_so(tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", [])
    make_recording(tmp_path / "webpf.db", BUILD)
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection, connection:
        connection.execute("UPDATE recordings SET forks_lost = 3, forks_attempted = forks_written + 3 WHERE id = 2")
    for command in ("report", "diff"):
        ended = webpf(command, "--format", "markdown")
        assert "recording 2 lost 3 events" in ended.stderr
        assert any(line.startswith("> ") and "lost 3 events" in line for line in ended.stdout.splitlines())
    empty = webpf("report", "--recording", "1", "--format", "markdown").stdout
    assert "0 processes started" in empty and not shapes(empty)
