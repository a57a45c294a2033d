"""Messages for wrong command lines: what is wrong, what would be right, and a command that can be pasted."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import (
    NOBODY,
    can_others_run_webpf,
    fork,
    let_others_in,
    make_recording,
    wait_until,
    webpf_command,
)

from webpf import errors
from webpf.cli import app
from webpf.errors import UsageError
from webpf.host import invocation
from webpf.model import durations
from webpf.output import messages
from webpf.storage import file_check, reader

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300), ("1h", 3600), ("90", 90), ("0.5", 0.5), ("1h30m", 5400), ("250ms", 0.25), ("1h 30m", 5400),
     ("2d", 172800), ("1m30", 90), (".5", 0.5), ("5.", 5), ("90s", 90), ("1.5h", 5400), ("10min", 600), ("20us", 2e-5),
     (" 7 ", 7)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert durations.parse("--duration", text) == pytest.approx(seconds)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(1, 59))
def test_units_have_their_usual_meaning(hours: int, minutes: int, seconds: int) -> None:
    """Each unit has its usual meaning: an hour is 3,600 seconds, a minute 60."""
    assert durations.parse("--duration", f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    "text",
    ["", "soon", "0", "-1", "nan", "inf", "1e3", "5 minutes", "1m1h", "1m1m", "m", "5mm", "1,5", "٣", "1_0", "0m"],
)
def test_invalid_durations(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        durations.parse("--min-lifetime", text)
    assert "--min-lifetime" in caught.value.message
    assert caught.value.hint == "webpf record --min-lifetime 90"


@pytest.mark.kernel
def test_a_recording_takes_as_long(webpf: Webpf, query: Callable[..., list[dict[str, int]]]) -> None:
    answer = webpf("record", "--duration", "400ms", "--min-lifetime", "1m")
    assert answer.returncode == 0
    [took] = query("SELECT ended_ns - started_ns AS ns FROM recordings")
    assert 400_000_000 <= took["ns"] < 30_000_000_000
    assert "for 0.4 s" in answer.stderr


WRONG = {
    "query lifetimes --format yaml": "--format takes table, csv, json or ndjson, not 'yaml'",
    "recordings --format xml": "--format takes table, csv, json or ndjson, not 'xml'",
    "export --weight heavy": "--weight takes wall, cpu or count, not 'heavy'",
    "query lifetimes --limit x": "--limit takes a whole number, not 'x'",
    "query lifetimes --limit -2": "--limit takes a whole number from 0 on, not '-2'",
    "record --buffer-mib x": "--buffer-mib takes a whole number, not 'x'",
    "query lifetimes -p": "-p needs a value",
    "record --db": "--db needs a value",
    "query lifetimes pid=1": "-p is missing before pid=1",
    "tree a b": "webpf tree takes no more arguments, but got b",
    "merge": "webpf merge needs FILE",
    "merge a.db": "webpf merge needs --output",
    "recrod": "webpf has no command 'recrod': did you mean record",
    "frobnicate": "webpf has no command 'frobnicate'",
    "record --usr root": "webpf record has no option --usr: did you mean --user?",
    "record --duraton 5": "webpf record has no option --duraton: did you mean --duration?",
    "tree --quick": "webpf tree has no option --quick",
    "diff 1": "diff takes two recordings, or none for the last two",
    "diff --fail-if wall": "--fail-if takes a measure, > and by how much it may grow",
    "record --comm averylongprocessname": "the kernel keeps 15 bytes of a name, and this has 20",
    "stream --duration forever": "--duration takes a time",
    "export --to parquet": "parquet goes into a folder",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_calls(line: str, webpf: Webpf, tmp_path: Path) -> None:
    make_recording(tmp_path / "webpf.db", [fork(100, 1)])
    answer = webpf(*line.split())
    assert (answer.returncode, answer.stdout) == (64, "")
    [message] = answer.stderr.splitlines()
    said, _, hint = message.removeprefix("webpf: ").partition("; try: ")
    assert said.startswith(WRONG[line]) or said.endswith(WRONG[line]), said
    assert "(" not in hint and shlex.split(hint)[:3] == webpf_command()


@pytest.mark.parametrize("line", ["query lifetimes --format yaml", "merge", "tree --quick", "record --usr root"])
def test_a_hint_can_be_pasted(line: str, webpf: Webpf, tmp_path: Path) -> None:
    """A shell can run the hint in the folder in which webpf was called."""
    hint = webpf(*line.split()).stderr.rstrip("\n").partition("; try: ")[2]
    for name in ("a.db", "b.db"):
        make_recording(tmp_path / name, [fork(100, 1)])
    assert subprocess.run(hint, shell=True, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def test_a_long_name_as_the_kernel_keeps_it(webpf: Webpf, tmp_path: Path) -> None:
    """The hint has the name that such a process has in /proc."""
    name = "größer'als 15 bytes"
    hint = webpf("record", "--comm", name).stderr.rstrip("\n").partition(" --comm ")[2].partition(" --comm ")[2]
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        try:
            comm = Path(f"/proc/{process.pid}/comm")
            own = Path("/proc/self/comm").read_bytes()
            wait_until(lambda: comm.read_bytes() != own, "the kernel doesn't give it its name")
            kept = comm.read_bytes().rstrip(b"\n")
        finally:
            process.kill()
    said = subprocess.run(["bash", "-c", f"printf %s {hint}"], capture_output=True, check=True).stdout
    assert said == kept


@pytest.mark.skipif(
    os.geteuid() != 0 or not can_others_run_webpf(),
    reason="needs root, and webpf where others can run it",
)
def test_a_file_of_roots(tmp_path: Path) -> None:
    """The message says who owns the file. The hint is the same call with sudo, and doesn't give the file away."""
    let_others_in(tmp_path / "webpf.db")
    make_recording(tmp_path / "webpf.db", [fork(100, 1)])
    needed = ", ".join(module.__name__ for module in (app, reader, messages, errors, file_check))
    script = (
        f"import os, sys, {needed}; from webpf import __main__\n"
        f"os.setresuid({NOBODY}, {NOBODY}, {NOBODY}); sys.argv = ['webpf', 'recordings']; __main__.main()"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 77
    assert f"webpf.db belongs to {pwd.getpwuid(0).pw_name}, and you may not read it; try: sudo " in answer.stderr
    assert answer.stderr.endswith(" recordings\n")
    assert "chown" not in answer.stderr


def test_packages_are_installed_by_their_own_names(webpf: Webpf, tmp_path: Path) -> None:
    """Not as an extra of webpf: on a package index, `webpf` can be another project."""
    make_recording(tmp_path / "webpf.db", [fork(100, 1)])
    hidden = "import sys; sys.modules['pyarrow'] = None; from webpf import __main__; "
    script = hidden + "sys.argv = ['webpf', 'export', '--to', 'parquet', '-o', 'all']; __main__.main()"
    answer = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 69
    hint = answer.stderr.rstrip("\n").partition("; try: ")[2]
    assert hint == f"{sys.executable} -m pip install pyarrow"
    assert subprocess.run(f"{hint} --dry-run --no-index", shell=True, capture_output=True, check=False).returncode == 0


def test_how_webpf_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/my venv/bin/webpf", "tree"])
    assert invocation.adapt_hint("webpf query --help") == "'/opt/my venv/bin/webpf' query --help"
    assert invocation.adapt_hint("sudo webpf record") == "sudo '/opt/my venv/bin/webpf' record"
    assert invocation.adapt_hint("ps -e") == "ps -e"
    monkeypatch.setattr(shutil, "which", lambda name: "/opt/my venv/bin/webpf")
    assert invocation.adapt_hint("webpf query --help") == "webpf query --help"


@pytest.mark.parametrize("command", ["record", "replay"])
@pytest.mark.parametrize("text", ["0.5", "999ms", "0", "hourly"])
def test_rotations_that_are_too_short_or_no_times(text: str, command: str) -> None:
    with pytest.raises(UsageError, match="--rotate") as raised:
        durations.parse_rotation(text, command)
    assert raised.value.hint.startswith(f"webpf {command} --rotate ")


def test_a_command_is_one_recording(webpf: Webpf) -> None:
    done = webpf("record", "--rotate", "1h", "--", "true")
    assert done.returncode == os.EX_USAGE
    assert "--rotate can't be used with a command" in done.stderr
    assert done.stderr.rstrip().endswith("record -- true")
