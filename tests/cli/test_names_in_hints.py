"""Commands in hints can be pasted, whatever the name of the file: a real shell reads the same name back."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support import make_recording

from webpf.errors import StorageError
from webpf.host import liveness, procfs
from webpf.model import argv
from webpf.storage.file_monitor import FileLost
from webpf.storage.rebuild import rebuild

NAMES = [
    *("plain.db", "-x.db", "--db", "a b.db", "it's.db", '"$(touch pwned)".db', "a;b.db", "*.db", "~.db", "#.db", "!x"),
    *("new\nline.db", "tab\t.db", "\x1b[31m.db", os.fsdecode(b"caf\xe9.db"), "ü.db", "\u202egnp.db", "back\\slash.db"),
]


def read_by_a_shell(words: str, folder: Path) -> list[bytes]:
    """Returns the words into which bash splits a line."""
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("no bash")
    printer = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"
    line = f'"$0" -I -c "$1" {words}'
    ended = subprocess.run(
        [shell, "-c", line, sys.executable, printer], cwd=folder, capture_output=True, check=True, timeout=20
    )
    return ended.stdout.split(b"\0")


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_it_back(name: str, tmp_path: Path) -> None:
    [word] = read_by_a_shell(argv.file_word(Path(name)), tmp_path)
    assert os.path.normpath(word) == os.fsencode(name)
    assert not word.startswith(b"-")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["plain.db", "-x.db", "a b.db", "new\nline.db", os.fsdecode(b"caf\xe9.db")])
@pytest.mark.parametrize(
    "command",
    [
        ["tree", "{file}", "--pid", "999999"],
        ["rebuild", "--db", "{file}", "--recording", "99"],
        ["query", "lifetimes", "--db", "{file}", "--recording", "99"],
        ["export", "{file}", "--to", "parquet"],
        ["recordings", "--db", "{file}.none"],
    ],
)
def test_the_hint_names_the_file(command: list[str], name: str, tmp_path: Path) -> None:
    make_recording(tmp_path / name, [])
    line = [sys.executable, "-m", "webpf", *(word.format(file=f"./{name}") for word in command)]
    answer = subprocess.run(line, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    message = os.fsdecode(answer.stderr)
    assert message.count("\n") == 1
    hint = re.sub(r"   \(.*\)$", "", message.rstrip("\n").rpartition("; try: ")[2])
    words = [os.path.normpath(word) for word in read_by_a_shell(hint, tmp_path)]
    assert os.fsencode(command[-1].format(file=name) if ".none" in command[-1] else name) in words


@pytest.mark.parametrize("name", ["-x.db", "a b.db", "it's.db"])
def test_the_hint_where_a_recording_goes_on(name: str, tmp_path: Path) -> None:
    """The test's own process stands in for the recorder."""
    db = tmp_path / name
    make_recording(db, [])
    stat = procfs.read_stat(os.getpid())
    assert stat is not None
    recorder = [liveness.boot_id(), os.getpid(), stat.start_ns]
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            "UPDATE recordings SET status = 'recording', boot_id = ?, recorder_pid = ?, recorder_start_ns = ?", recorder
        )
    with pytest.raises(StorageError) as caught:
        rebuild(db)
    words = read_by_a_shell(caught.value.hint, tmp_path)
    assert words == [b"webpf", b"recordings", os.fsencode(db)]


@pytest.mark.parametrize("name", NAMES)
def test_the_hint_of_a_lost_file_names_it(name: str, tmp_path: Path) -> None:
    words = read_by_a_shell(FileLost("it was removed", Path(name)).hint, tmp_path)
    assert words[:-1] == [b"webpf", b"record", b"--db"]
    assert os.path.normpath(words[-1]) == os.fsencode(name)
