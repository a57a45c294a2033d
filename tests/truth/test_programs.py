"""Names, file names and arguments of executed programs, byte by byte."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fates import Query, check, now, programs_of, reap, row_of, rows_of, run_child, run_program
from support import Recorder, let_others_in, wait_until

from webpf.model import argv as quoting

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]


def test_a_process_that_never_execs_keeps_its_parents_name(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()
    fate = run_child(lambda: None)
    recorder.end()
    row = row_of(query, fate)
    assert row["comm"] == Path("/proc/self/comm").read_text().strip()
    assert (row["execs"], row["argv"]) == (0, None)


def test_argv_is_kept_to_the_byte(start_recorder: Start, query: Query) -> None:
    """With bytes that are not UTF-8, quotes, newlines, escapes, empty arguments. Over 32 KiB it is cut and marked."""
    odd = [b"/bin/true", b"", b"\xff\xfe", b"a'b\"c", b"line\nline", b"\x1b[31mred", "é世".encode(), b" ", b""]
    long = [b"/bin/true", b"x" * 20_000, b"y" * 12_000]
    too_long = [b"/bin/true", b"z" * 100_000]
    recorder = start_recorder()
    fates = [run_program(*arguments, executable="/bin/true") for arguments in (odd, long, too_long)]
    recorder.end()
    for arguments, fate in zip((odd, long), fates, strict=False):
        row = row_of(query, fate)
        exact = b"".join(argument + b"\0" for argument in arguments)
        assert row["argv"] == exact
        assert row["argv_bytes"] == len(exact)
        assert row["args"] == quoting.quote(exact, len(exact))
    cut = row_of(query, fates[2])
    assert cut["argv"] == (b"/bin/true\0" + b"z" * 100_000)[:32768]
    assert cut["argv_bytes"] == len(b"/bin/true\0") + 100_001
    assert cut["args"].endswith("…[67243 bytes cut]")


@pytest.mark.parametrize("limit", [0, 100, 131072])
def test_max_args(limit: int, start_recorder: Start, query: Query) -> None:
    recorder = start_recorder("--max-args", str(limit))
    fate = run_program("/bin/true", "x" * 120_000)
    recorder.end()
    row = row_of(query, fate)
    whole = b"/bin/true\0" + b"x" * 120_000 + b"\0"
    assert row["argv"] == (whole[:limit] if limit else None)
    assert row["argv_bytes"] == len(whole)


def test_the_chain_of_execs(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """sh -> env -> a script -> its interpreter: all in order, with file name, arguments and name."""
    script = tmp_path / "a script"
    script.write_text("#!/bin/sh\nexec /bin/sleep 0\n")
    script.chmod(0o755)
    recorder = start_recorder()
    fate = run_program("/bin/sh", "-c", f'exec /usr/bin/env "{script}"')
    recorder.end()
    row = row_of(query, fate)
    chain = programs_of(query, row)
    assert [link["filename"] for link in chain] == ["/bin/sh", "/usr/bin/env", str(script), "/bin/sleep"]
    assert [link["comm"] for link in chain] == ["sh", "env", "a script", "sleep"]
    assert chain[2]["argv"].split(b"\0")[1:] == [bytes(script), b""]
    assert [link["time_ns"] for link in chain] == sorted(link["time_ns"] for link in chain)
    assert (row["execs"], row["comm"], row["filename"]) == (4, "sleep", "/bin/sleep")
    check(row, fate)


def test_a_long_path_is_kept_whole(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d" * 200] * 4)
    folder.mkdir(parents=True)
    program = folder / "true"
    program.symlink_to("/bin/true")
    recorder = start_recorder()
    fate = run_program(str(program))
    recorder.end()
    assert row_of(query, fate)["filename"] == str(program)


def test_a_failed_exec_is_not_recorded(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()

    def fail() -> None:
        try:
            os.execv("/nowhere/at/all", ["x"])
        except FileNotFoundError:
            os._exit(127)

    fate = run_child(fail)
    recorder.end()
    row = row_of(query, fate)
    assert (row["execs"], row["exit_code"]) == (0, 127)


def test_renamed_with_prctl(start_recorder: Start, query: Query) -> None:
    name = b'a"b\\c\xff'
    recorder = start_recorder()
    fate = run_child(lambda: ctypes.CDLL(None).prctl(15, name, 0, 0, 0))
    recorder.end()
    assert row_of(query, fate)["comm"] == 'a"b\\c\\xff'


def test_the_longest_arguments(act: str, start_recorder: Start, query: Query) -> None:
    """1 MiB of arguments is kept if --max-args allows it, and equals /proc/self/cmdline byte for byte.

    Each exec with many arguments takes 2 MiB of the buffer, those of other tests too.
    """
    recorder = start_recorder("--max-args", str(2 * 1024 * 1024), "--buffer-mib", "64")
    for kib in (100, 1024):
        arguments = [act, "arguments", *(chr(ord("a") + i % 26) * 10_239 for i in range(kib // 10))]
        before = now()
        child = subprocess.Popen(arguments, stdout=subprocess.PIPE)
        assert child.stdout is not None
        shown = child.stdout.read()
        fate = reap(child.pid, before)
        child.returncode = 0
        # Not just any row: its fork can be in the file already, and its exec not yet.
        wait_until(lambda: [row for row in rows_of(query, fate) if row["end_ns"]], "it has not ended")  # noqa: B023
        row = row_of(query, fate)
        assert len(shown) > kib * 1000
        assert (row["argv"], row["argv_bytes"]) == (shown, len(shown))
    assert recorder.end()[0] == 0


def test_no_arguments_at_all(act: str, start_recorder: Start, query: Query) -> None:
    """execve() with an empty argv; since Linux 5.18 the program gets one empty argument."""
    recorder = start_recorder()
    before = now()
    child = subprocess.Popen([act, "no-arguments"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    shown = child.stdout.read()
    fate = reap(child.pid, before)
    child.returncode = 0
    recorder.end()
    row = row_of(query, fate)
    assert shown in (b"", b"\0")
    assert (row["argv"], row["argv_bytes"], row["args"]) == (shown, len(shown), "''" if shown else "")
    assert (row["execs"], row["filename"]) == (2, act)
    check(row, fate)


def test_a_program_of_another_user(act: str, start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """set-user-ID: the real user stays, the effective user is the owner of the file. set-group-ID changes neither."""
    programs = {}
    for name, mode in (("as-user", 0o4755), ("as-group", 0o2755)):
        programs[name] = Path(act).with_name(name)
        shutil.copy(act, programs[name])
        os.chown(programs[name], 1, 1)
        programs[name].chmod(mode)

    def call(program: Path) -> Callable[[], object]:
        def become() -> None:
            os.setgid(65534)
            os.setuid(65534)
            os.execv(program, [str(program), "together", "1"])

        return become

    let_others_in(Path(act))
    recorder = start_recorder()
    fates = {name: run_child(call(program)) for name, program in programs.items()}
    recorder.end()
    for name, euid in (("as-user", 1), ("as-group", 65534)):
        row = row_of(query, fates[name])
        check(row, fates[name])
        assert (row["execs"], row["exit_code"], row["uid"]) == (1, 0, 65534)
        [program] = programs_of(query, row)
        assert (program["uid"], program["euid"]) == (65534, euid)


WHERE = """SELECT p.pid, e.comm, e.cwd_device, e.cwd_inode, w.path FROM programs AS e
    JOIN processes AS p ON p.id = e.process_id
    LEFT JOIN working_directories AS w
        ON w.recording_id = e.recording_id AND w.device = e.cwd_device AND w.inode = e.cwd_inode
    WHERE p.pid = ? OR p.ppid = ? ORDER BY e.id"""


def test_where_programs_are_started(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """The directory is that at the exec. The path is found while a process is in that directory."""
    (tmp_path / "below").mkdir()
    script = "/bin/true; cd below; /bin/true; (cd ..; exec /bin/true); read x"
    recorder = start_recorder()
    with subprocess.Popen(["/bin/sh", "-c", script], cwd=tmp_path, stdin=subprocess.PIPE) as shell:
        wait_until(lambda: len(query(WHERE, shell.pid, shell.pid)) == 4, "not all programs are in the file")
        wait_until(lambda: query("SELECT * FROM working_directories WHERE path LIKE '%/below'"), "no path is there")
    recorder.end()
    rows = query(WHERE, shell.pid, shell.pid)
    assert [row["comm"] for row in rows] == ["sh", "true", "true", "true"]
    outer, below = (folder.stat() for folder in (tmp_path, tmp_path / "below"))
    assert [row["cwd_inode"] for row in rows] == [outer.st_ino, outer.st_ino, below.st_ino, outer.st_ino]
    assert {row["path"] for row in rows if row["cwd_inode"] == below.st_ino} == {str(tmp_path / "below")}
    assert {row["path"] for row in rows} <= {None, str(tmp_path), str(tmp_path / "below")}


def path_of(query: Query, pid: int) -> Any:
    """Returns the directory in which the only program of a process was started, or None if it isn't known yet."""
    return next((row["path"] for row in query(WHERE, pid, pid)), None)


def test_two_directories_of_one_number(start_recorder: Start, query: Query) -> None:
    """Two file systems: the root directories of most have the same inode number."""
    recorder = start_recorder()
    places = ["/proc", "/sys"]
    fates = []
    for place in places:
        with subprocess.Popen(["/bin/sleep", "600"], cwd=place) as child:
            wait_until(lambda child=child: path_of(query, child.pid), "the path is not in the file")  # type: ignore[misc]
            child.kill()
        fates.append(child.pid)
    recorder.end()
    found = [row for pid in fates for row in query(WHERE, pid, pid)]
    assert [(row["path"], row["cwd_inode"]) for row in found] == [(p, Path(p).stat().st_ino) for p in places]
    assert len({row["cwd_device"] for row in found}) == 2
