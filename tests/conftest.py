"""What tests share: what this machine can do, a way to call webpf as a user does, and databases to look at."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import machine_lock
import pytest
from story import BUILD
from support import DEADLINE_SECONDS, PROJECT, Recorder, make_recording, webpf_command

from webpf.errors import WebpfError
from webpf.kernel import preflight, probe

# A busy machine can take any time for an example.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def why_no_kernel_tests() -> str | None:
    """The reason why this machine can't run BPF programs; None if it can."""
    try:
        preflight.check_machine()
        probe.Probe(0, buffer_mib=1).close()
    except WebpfError as error:
        return error.message
    return None


SAMPLED = {
    "test_access": 2,
    "test_accessibility": 2,
    "test_base_url": 2,
    "test_broken_files": 3,
    "test_browse_desktop": 2,
    "test_browse_end": 2,
    "test_browse_files": 5,
    "test_crash": 2,
    "test_damage": 2,
    "test_engines_agree_on_each": 3,
    "test_entry_gate": 2,
    "test_gate": 2,
    "test_loaded_modules": 2,
    "test_matrix": 2,
    "test_read_pool": 2,
    "test_scope_form": 2,
    "test_scopes_agree": 3,
    "test_stalled_reader": 2,
    "test_unknown_machine": 2,
    "test_upgrade_bad_days": 2,
}
"""Modules with many cases of a kind: of those that a test has, `make test` runs each so-manieth, `make matrix` all."""


def leave_out(cases: list[pytest.Function], share: int) -> None:
    """Leaves all but each so-manieth case of one test to `make matrix`.

    The first depends on the test's name, so that each version of Datasette, for example, has some tests of a module.
    """
    first = zlib.crc32(cases[0].originalname.encode()) % min(share, len(cases))
    for number, case in enumerate(cases):
        if number % share != first:
            case.add_marker("matrix")


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves most cases of large tables to `make matrix`; skips kernel tests, with the reason, where they can't run."""
    cases: dict[tuple[Path, str], list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and item.path.stem in SAMPLED and hasattr(item, "callspec"):
            cases.setdefault((item.path, item.function.__qualname__), []).append(item)
    for (path, _), found in cases.items():
        leave_out(found, SAMPLED[path.stem])
    wanted = [item for item in items if item.get_closest_marker("kernel")]
    reason = why_no_kernel_tests() if wanted else None
    if reason:
        for item in wanted:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Lets tests with the marker `alone` run beside no other kernel test, in this run of the tests or another."""
    if item.get_closest_marker("kernel") is None:
        return (yield)
    with machine_lock.held(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(autouse=True)
def _same_signals() -> Iterator[None]:
    """Fails a test that leaves another handler behind, or a blocked signal, which programs would inherit.

    Hundreds share the process, which a SIGPIPE would end.
    """
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    newly_blocked = signal.pthread_sigmask(signal.SIG_SETMASK, blocked) - blocked
    changed = {number: handler for number, handler in before.items() if signal.getsignal(number) != handler}
    for number, handler in changed.items():
        signal.signal(number, handler)
    assert not changed and not newly_blocked


@pytest.fixture
def start_recorder(tmp_path: Path) -> Iterator[Callable[..., Recorder]]:
    """Starts `webpf record` with these arguments and waits until it records; ends what a test leaves running."""
    started: list[Recorder] = []

    def start(*arguments: str, db: Path = tmp_path / "webpf.db", **environment: str) -> Recorder:
        recorder = Recorder(db, arguments, environment)
        started.append(recorder)
        recorder.wait_until_recording()
        return recorder

    yield start
    for recorder in started:
        recorder.end()


Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def webpf(tmp_path: Path) -> Webpf:
    """Calls webpf as a user does, in an empty folder; returns exit code, stdout and stderr."""

    def call(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "WEBPF_DB"}
        return subprocess.run(
            check=False,
            args=[*webpf_command(), *map(str, arguments)],
            cwd=tmp_path,
            env=environment | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=9 * DEADLINE_SECONDS,  # one call can record a command several times
        )

    return call


@pytest.fixture
def query(tmp_path: Path) -> Callable[..., list[dict[str, object]]]:
    """Runs SQL on the test's webpf.db; returns rows as dicts."""

    def run(sql: str, *values: object, db: Path = tmp_path / "webpf.db") -> list[dict[str, object]]:
        connection = sqlite3.connect(db)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(sql, values)]
        finally:
            connection.close()

    return run


@pytest.fixture(scope="session")
def act(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of the program that plays the acts of the truth suite: act.c, compiled."""
    program = tmp_path_factory.mktemp("act") / "act"
    program.parent.chmod(0o755)
    source = PROJECT / "tests" / "truth" / "act.c"
    try:
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, source], check=True)
    except FileNotFoundError:
        pytest.skip("no gcc")
    return str(program)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A file with the recording of story.py."""
    make_recording(tmp_path / "webpf.db", BUILD)
    return tmp_path / "webpf.db"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The distribution's browser. Not for longer: the driver's event loop would stand in the way of other tests'."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        pytest.skip("no chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
