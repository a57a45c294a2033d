"""`webpf compile`, `--program`, `$WEBPF_PROGRAM` and `webpf program`."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from private_folder import private_folder
from support import NOBODY, PROCESSES, Recorder, children_of, webpf_command

from webpf.kernel import bcc_loader, bpf_source, btf, program_source

pytestmark = pytest.mark.kernel

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of other users")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for objects, which others can't write."""
    with private_folder() as path:
        yield path


@pytest.fixture(scope="module")
def program(folder: Path) -> Path:
    """An object that `webpf compile` wrote."""
    path = folder / "programs.bpf"
    answer = subprocess.run(
        [*webpf_command(), "compile", "-o", path], cwd=folder, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert re.fullmatch(rf"webpf: {path}: [\d,]+ bytes, compiled by BCC \S+ for \w+-endian\n", answer.stderr)
    assert answer.stdout == ""
    return path


def one_line(answer: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line on stderr, and this exit code."""
    assert (answer.returncode, answer.stdout, len(answer.stderr.splitlines())) == (code, "", 1), answer.stderr
    for each in words:
        assert each in answer.stderr, answer.stderr


def test_it_can_be_read_by_all_and_is_not_replaced(program: Path, webpf: Webpf) -> None:
    assert program.stat().st_mode & 0o777 == 0o644
    one_line(webpf("compile", "-o", program), 64, "already exists", "--force")
    assert webpf("compile", "-o", program, "--force").returncode == 0
    one_line(webpf("compile"), 64, "--output")


def test_compiling_needs_privileges(webpf: Webpf, tmp_path: Path) -> None:
    dropped = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    answer = subprocess.run(
        [*dropped, *webpf_command(), "compile", "-o", "x"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    one_line(answer, 77, "compiling needs root", "try: sudo ")
    assert list(tmp_path.iterdir()) == []


def with_descendants(pid: int) -> list[int]:
    """Returns the pids of a process and of all that it started: the recorder is a child of what was called."""
    return [pid, *(each for child in children_of(pid) for each in with_descendants(child))]


@pytest.mark.parametrize("way", ["option", "environment"])
def test_recording_with_it(way: str, program: Path, tmp_path: Path) -> None:
    """What is recorded is right, and the log says where the programs are from."""
    arguments = ["--verbose", *(["--program", str(program)] if way == "option" else [])]
    environment = {program_source.VARIABLE: str(program if way == "environment" else "/no/such/file")}
    recorder = Recorder(tmp_path / "webpf.db", arguments, environment)
    recorder.wait_until_recording()
    child = subprocess.Popen(["/bin/sh", "-c", "exit 7"])
    child.wait()
    loaded = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in with_descendants(recorder.process.pid))
    assert "sqlite3" in loaded and not re.search("libbcc|libbpf|libLLVM|libclang", loaded)
    code, errors = recorder.end()
    assert code == 0, errors
    assert f"the BPF programs are from {program}" in errors
    assert "BCC has compiled" not in errors
    connection = sqlite3.connect(tmp_path / "webpf.db")
    rows = connection.execute(f"SELECT exit_code, args FROM {PROCESSES} WHERE pid = ?", [child.pid]).fetchall()
    assert rows == [(7, "/bin/sh -c 'exit 7'")]
    [(version,)] = connection.execute("SELECT compiler FROM recordings").fetchall()
    assert version == f"BCC {bcc_loader.find().version}"


def test_streaming_and_trying_with_it(program: Path, webpf: Webpf) -> None:
    answer = webpf("stream", "--duration", "0.2", "--program", program)
    assert answer.returncode == 0, answer.stderr
    assert webpf("record", "--dry-run", "--program", program).returncode == 0


AGAIN = " compile -o {path} --force"
ELSEWHERE = " compile -o /usr/local/lib/webpf.bpf"


def of_nobody(path: Path) -> None:
    """Gives it to another user."""
    os.chown(path, NOBODY, NOBODY)


def link(path: Path) -> None:
    """A link in its place."""
    path.rename(path.with_name("target"))
    path.symlink_to("target")


@is_root
@pytest.mark.parametrize(
    ("spoil", "code", "words", "hint"),
    [
        (Path.unlink, 66, "there is no BPF object", " compile -o {path}"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), 65, "it is damaged: its checksum is wrong", AGAIN),
        (lambda path: path.write_bytes(b""), 65, "it is no BPF object of webpf's", AGAIN),
        (lambda path: shutil.copyfile("/bin/true", path), 65, "it is no BPF object of webpf's", AGAIN),
        (of_nobody, 65, "belongs to another user", ELSEWHERE),
        (lambda path: path.chmod(0o664), 65, "can be written by other users (mode 0664)", ELSEWHERE),
        (lambda path: path.parent.chmod(0o777), 65, "can be written by other users (mode 0777)", ELSEWHERE),
        (link, 65, "symbolic links", ELSEWHERE),
    ],
    ids=["missing", "cut", "empty", "foreign", "owner", "group", "folder", "link"],
)
def test_objects_that_are_not_taken(
    spoil: Callable[[Path], object], code: int, words: str, hint: str, program: Path, webpf: Webpf, tmp_path: Path
) -> None:
    """Who names a file gets that file, or one line with the command that makes it."""
    with private_folder() as place:
        path = place / "programs.bpf"
        shutil.copyfile(program, path)
        path.chmod(0o644)
        spoil(path)
        for arguments in (["record", "--duration", "1"], ["stream", "--duration", "1"], ["record", "--dry-run"]):
            answer = webpf(*arguments, "--program", path)
            one_line(answer, code, words, str(path), "try: sudo ", hint.format(path=path))
        one_line(webpf("record", env={program_source.VARIABLE: str(path)}), code, words)
        doctor = webpf("doctor", env={program_source.VARIABLE: str(path)})
        assert (doctor.returncode, "MISSING  BPF object" in doctor.stdout) == (69, True)
    assert list(tmp_path.iterdir()) == []


def test_what_the_student_reads(webpf: Webpf, program: Path, tmp_path: Path) -> None:
    """The numbers are those that the programs are loaded with, and the whole is C as far as BCC's own words."""
    answer = webpf("program")
    assert answer.returncode == 0
    defines = dict(re.findall(r"^#define (\w+) (\d+)", answer.stdout, re.MULTILINE))
    for name, value in btf.read_constants().items():
        assert defines[name] == str(value)
    assert defines["MAX_ARGS"] == "32768"
    assert bpf_source.source().decode() in answer.stdout
    for name in (*bpf_source.MAPS, *bpf_source.FIRST_PROGRAMS, *bpf_source.TRACEPOINTS):
        assert re.search(rf"^ \* .*\b{name}\b", answer.stdout, re.MULTILINE), name
    assert re.search(r"^ \*   sched_process_exec +webpf_exec +\d+ instructions$", answer.stdout, re.MULTILINE)


@is_root
def test_the_commands_that_it_shows_work(webpf: Webpf, tmp_path: Path) -> None:
    if not shutil.which("bpftool"):
        pytest.skip("no bpftool")
    shown = re.findall(r"^ \*   sudo (bpftool .*?)(?:  |$)", webpf("program").stdout, re.MULTILINE)
    assert len(shown) == 5
    recorder = Recorder(tmp_path / "webpf.db")
    recorder.wait_until_recording()
    for command in shown:
        answer = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        is_without_disassembler = re.search("No (libbfd|JIT disassembly) support", answer.stderr)
        assert (answer.returncode == 0 and answer.stdout) or is_without_disassembler, (command, answer.stderr)
    recorder.end()


@is_root
def test_it_is_shown_to_every_user(tmp_path: Path) -> None:
    """It loads nothing."""
    dropped = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    answer = subprocess.run(
        [*dropped, *webpf_command(), "program"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stderr) == (0, "")
