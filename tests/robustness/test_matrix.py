"""Every command in many surroundings: no traceback, few lines on stderr, data on stdout, a sysexits code.

`make test` runs a sample, `make matrix` runs all.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from story import BUILD
from support import is_in_temporary_folder, make_recording, webpf_command
from surroundings import SURROUNDINGS, Surroundings

READING = {
    "help": ["--help"],
    "version": ["--version"],
    "nothing": [],
    "queries": ["query"],
    "queries as JSON": ["query", "--format", "json"],
    "a table": ["query", "lifetimes"],
    "CSV": ["query", "lifetimes", "--format", "csv"],
    "JSON": ["query", "tree", "--format", "json"],
    "lines of JSON": ["query", "failures", "--format", "ndjson"],
    "recordings": ["recordings"],
    "tree": ["tree"],
    "tree as JSON": ["tree", "--format", "json"],
    "report": ["report"],
    "report as JSON": ["report", "--format", "json"],
    "report as Markdown": ["report", "--format", "markdown"],
    "diff": ["diff"],
    "diff as JSON": ["diff", "--format", "json"],
    "diff as Markdown": ["diff", "--format", "markdown"],
    "a failing diff": ["diff", "--fail-if", "wall>10%"],
    "verify": ["verify"],
    "verify as JSON": ["verify", "--format", "json"],
    "rebuild": ["rebuild"],
    "the configuration of Datasette": ["datasette-config"],
    **{f"export to {format}": ["export", "--to", format] for format in ("chrome", "speedscope", "folded", "csv")},
    **{f"export to {format}": ["export", "--to", format] for format in ("ndjson", "otlp", "perfetto")},
    "export into a file": ["export", "-o", "out.json", "--force"],
    "export into a folder": ["export", "--to", "parquet", "-o", "out", "--force"],
    "merge": ["merge", "webpf.db", "-o", "merged.db", "--force"],
}
WRONG = {
    "no such command": ["recrod"],
    "no such option": ["tree", "--colour"],
    "no such format": ["report", "--format", "xml"],
    "no such query": ["query", "lifetime"],
    "no such file": ["verify", "é missing.db"],
    "no such recording": ["tree", "--recording", "99"],
    "a file of another kind": ["recordings", "--db", "/proc/self/exe"],
    "a browser on nothing": ["browse", "missing.db"],
    "a port that can't be": ["browse", "--port", "0"],
    "no such program": ["record", "--", "no such program"],
}
RECORDING = {
    "doctor": ["doctor"],
    "a dry run": ["record", "--dry-run"],
    "a recording": ["record", "--duration", "0.2"],
    "a command": ["record", "--", "/bin/sh", "-c", "exit 3"],
    "a stream": ["stream", "--duration", "0.2"],
}
ANY_CODE = {0, 1, 3, 126, 127, *range(64, 79), -signal.SIGPIPE}
"""0, the codes of sysexits.h, the codes of recorded commands and of --fail-if, and that of a closed pipe."""

MOST_LINES = 8


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the locale of the matrix."""
    folder = tmp_path_factory.mktemp("locales")
    if not shutil.which("localedef") or not Path("/usr/share/i18n/locales/de_DE").exists():
        pytest.skip("no sources of locales")
    subprocess.run(
        ["localedef", "--no-archive", "-i", "de_DE", "-f", "ISO-8859-1", folder / "de_DE.ISO-8859-1"], check=True
    )
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a recording file."""
    return recorded(tmp_path)


def recorded(folder: Path) -> Path:
    """The folder, with a file of two recordings. Most encodings can't show some of their names."""
    make_recording(folder / "webpf.db", BUILD, name="größer 好")
    make_recording(folder / "webpf.db", BUILD, name="\x1b[31m")
    return folder


@cache
def normal_result(arguments: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
    """Returns the result of a command in normal surroundings."""
    with tempfile.TemporaryDirectory() as folder:
        return SURROUNDINGS["as usual"].run([*webpf_command(), *arguments], recorded(Path(folder)))


def check(surroundings: Surroundings, arguments: list[str], folder: Path) -> None:
    """Runs a command in normal and in these surroundings, and compares the results."""
    usual = normal_result(tuple(arguments))
    answer = surroundings.run([*webpf_command(), *arguments], folder)
    errors = answer.stderr.decode(errors="replace")
    assert "Traceback" not in errors and "Exception ignored" not in errors, errors
    assert len(errors.splitlines()) <= MOST_LINES, errors
    assert answer.returncode in ANY_CODE, errors
    if arguments[:1] == ["stream"]:  # its output depends on what the machine does meanwhile
        assert answer.returncode in (0, 74), errors
        return
    if surroundings.stdout_fails and usual.stdout and usual.returncode == 0:
        assert answer.returncode == 74, errors
        return
    if surroundings.same_code and not (surroundings.stdout_fails and usual.stdout):
        assert answer.returncode == usual.returncode, errors
    if surroundings.same_stdout and not surroundings.stdout_fails and arguments[:1] != ["doctor"]:
        assert answer.stdout == usual.stdout


def prepare(name: str, request: pytest.FixtureRequest) -> Surroundings:
    """Returns the surroundings of this name, and creates the files that they need."""
    if name == "ISO-8859-1":
        made = str(request.getfixturevalue("locales"))
        return replace(SURROUNDINGS[name], environment={**SURROUNDINGS[name].environment, "LOCPATH": made})
    if name == "no temporary folder" and (os.geteuid() != 0 or is_in_temporary_folder()):
        pytest.skip("needs root, and webpf outside of temporary folders")
    return SURROUNDINGS[name]


def sample(commands: dict[str, list[str]], every: int) -> Iterator[tuple[str, str]]:
    """Returns each of the surroundings with some of the commands, so that each command occurs."""
    for number, name in enumerate(SURROUNDINGS):
        for command in list(commands)[number % every :: every]:
            yield name, command


@pytest.mark.parametrize(("name", "command"), list(sample(READING | WRONG, 21)))
def test_a_sample(name: str, command: str, folder: Path, request: pytest.FixtureRequest) -> None:
    check(prepare(name, request), (READING | WRONG)[command], folder)


@pytest.mark.kernel
@pytest.mark.parametrize(("name", "command"), list(sample(RECORDING, 5))[::4])
def test_a_sample_of_recordings(name: str, command: str, folder: Path, request: pytest.FixtureRequest) -> None:
    check(prepare(name, request), RECORDING[command], folder)


@pytest.mark.matrix
@pytest.mark.parametrize("command", READING | WRONG)
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_all(name: str, command: str, folder: Path, request: pytest.FixtureRequest) -> None:
    check(prepare(name, request), (READING | WRONG)[command], folder)


@pytest.mark.matrix
@pytest.mark.kernel
@pytest.mark.parametrize("command", RECORDING)
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_all_recordings(name: str, command: str, folder: Path, request: pytest.FixtureRequest) -> None:
    check(prepare(name, request), RECORDING[command], folder)
