"""Labels of processes, made from arguments of any kind, compared with ps and shown in a browser."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sites import running
from support import exec_, exit_, fork, make_recording

from webpf.model.events import Event
from webpf.output import command_label

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
LOADER = next(Path("/").glob("lib*/ld-linux*.so.*"), None)


def argv(*words: str | bytes) -> bytes:
    """Returns the arguments as the kernel stores them."""
    return b"".join((os.fsencode(word) if isinstance(word, str) else word) + b"\0" for word in words)


@pytest.mark.parametrize(
    ("words", "program", "line"),
    [
        (["x/Program Files/cc", "-c", "a.c"], "cc", "cc -c a.c"),
        (["x/Program Files/my tool", "a b"], "my tool", "'my tool' 'a b'"),
        (["/opt/a;b c", "--opt"], "a;b c", "'a;b c' --opt"),
        (["/opt/it's", "x"], "it's", "'it'\"'\"'s' x"),
        (["/"], "/", "/"),
        (["///"], "///", "///"),
        (["/usr/bin/", "x"], "bin", "bin x"),
        (["-bash"], "bash", "-bash"),
        (["-"], "-", "-"),
        (["a\nb", "c\td"], "a\\nb", "$'a\\nb' $'c\\td'"),
        (["/usr/x\u202ey", "z"], "x\\u202ey", "$'x\\xe2\\x80\\xaey' z"),
        ([b"/bin/\xfe"], "\\xfe", "$'\\xfe'"),
        (["sshd: root@pts/0"], "sshd", "'sshd: root@pts/0'"),
        (["sh", "build.sh"], "sh build.sh", "sh build.sh"),
        (["/bin/sh", "-c", "'/x/Program Files/cc' -c a.c"], "sh -c cc", None),
        (["sh", "-c", "/x/Program\\ Files/cc -c a.c"], "sh -c cc", None),
        (["sh", "-c", "A='b c' make"], "sh -c make", None),
        (["sh", "-c", "# what it does\n(cd /x; make)"], "sh -c cd", None),
        (["bash", "--norc", "run.sh"], "bash run.sh", None),
        (["bash", "-euo", "pipefail", "run.sh"], "bash run.sh", None),
        (["bash", "-euo", "pipefail", "-c", "make"], "bash -c make", None),
        (["/lib64/ld-linux-x86-64.so.2", "--library-path", "X", "/opt/a b/prog", "-v"], "prog", "prog -v"),
        (["/lib64/ld-linux-x86-64.so.2", "--argv0", "y", "--", "/bin/sh", "b.sh"], "sh b.sh", "sh b.sh"),
        (["/lib/ld-musl-x86_64.so.1", "--preload=x", "/bin/ls"], "ls", "ls"),
        (["/lib64/ld-linux-x86-64.so.2", "--list", "/bin/ls"], "ld-linux-x86-64.so.2", None),
        (["/lib64/ld-linux-x86-64.so.2"], "ld-linux-x86-64.so.2", "ld-linux-x86-64.so.2"),
        (["/usr/bin/env", "-i", "A=b", "prog"], "env prog", "env -i A=b prog"),
        (["/usr/bin/env", "-S", "python3 -u", "./x.py"], "env python3 x.py", None),
        (["/usr/bin/env", "-S python3 -u", "./x.py"], "env python3 x.py", None),
        (["env", "--split-string=A=b 'my prog'"], "env my prog", None),
        (["env", "-u", "A", "-C", "/x", "-", "sh", "a.sh"], "env sh a.sh", None),
        (["env", "A=b"], "env", "env A=b"),
        (["nice", "-n", "5", "make"], "nice make", "nice -n 5 make"),
        (["timeout", "-k", "1", "5", "/bin/sleep", "9"], "timeout sleep", None),
        (["sudo", "-u", "bob", "A=b", "sh", "-x", "./k.sh"], "sudo sh k.sh", None),
        (["xargs", "-0", "-n", "1", "nice", "gzip"], "xargs nice gzip", None),
        (["busybox", "sh", "x.sh"], "busybox sh x.sh", None),
    ],
)
def test_names_and_lines(words: list[str | bytes], program: str, line: str | None) -> None:
    """line: a shell would read it back as the same arguments, except for the folder of the program."""
    assert command_label.program(argv(*words), "comm") == program
    if line is not None:
        assert command_label.command_line(argv(*words), "comm") == line


@pytest.mark.parametrize("raw", [None, b"", b"\0", b"   \0"])
def test_there_is_always_a_name(raw: bytes | None) -> None:
    for label in (command_label.program, command_label.activity, command_label.command_line, command_label.short_title):
        assert label(raw, "comm") == "comm"
        assert label(raw, "") == label(raw, "  ") == label(raw, None) == "?"


def test_arguments_that_were_cut() -> None:
    """An incomplete name of a source file is not used, and the line says that it was cut."""
    assert command_label.activity(b"cc\0-c\0regex.c", None) == "cc"
    assert command_label.command_line(b"cc\0-c\0lib/reg", None) == "cc -c lib/reg ..."
    assert len(command_label.command_line(b"cc\0" + b"x" * 100_000 + b"\0", None)) < 5000


def test_very_many_nested_launchers() -> None:
    """The search ends, and the name is short."""
    assert len(command_label.activity(argv(*["env"] * 5000), None)) < 100


RUN = (
    ["/x/Program Files/one", "a"],
    ["/x/Program Files/two"],
    ["/x/Program Files/two", "c"],
    ["sh", "a.sh"],
    ["sh", "b.sh"],
    ["/opt/a;b c", "--opt"],
    ["/"],
)
FORKS: list[Event] = [
    fork(100, 0),
    *(
        event
        for number, words in enumerate(RUN)
        for event in (
            fork(101 + number, 10 + number * 100, ppid=100, parent_ms=0),
            exec_(101 + number, 10 + number * 100, 11 + number * 100, argv(*words), ""),
            exit_(101 + number, 10 + number * 100, 90 + number * 100, comm="", ppid=100),
        )
    ),
    exit_(100, 0, 900),
]


def test_the_tree_folds_by_what_was_run(tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", FORKS)
    lines = webpf("tree").stdout.splitlines()
    assert [line.partition("  [")[0][3:] for line in lines[1:]] == [
        "one a", "2 x two", "sh a.sh", "sh b.sh", "'a;b c' --opt", "/",
    ]  # fmt: skip


DRAWN = """
    window.drawn = [];
    const before = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
        window.drawn.push(text);
        before.call(this, text, ...rest);
    };
"""


def test_the_timeline_draws_whole_names(tmp_path: Path, chromium: Any) -> None:
    make_recording(tmp_path / "webpf.db", FORKS)
    with (
        running("0.65", [tmp_path / "webpf.db"]) as site,
        closing(chromium.new_context(viewport={"width": 1280, "height": 800}, base_url=site.address)) as context,
    ):
        page = context.new_page()
        page.add_init_script(DRAWN)
        page.goto("/-/webpf/timeline/webpf/1")
        page.wait_for_selector('#webpf-timeline[data-ready="1"]')
        drawn = set(page.evaluate("() => window.drawn"))
    assert {"one a", "two", "two c", "sh a.sh", "'a;b c' --opt", "/"} <= drawn


@pytest.mark.kernel
@pytest.mark.skipif(LOADER is None, reason="the path of the dynamic loader is unknown")
def test_programs_that_are_started_by_others(tmp_path: Path, webpf: Webpf) -> None:
    """The loader has the label of its program, env and nice have become their program, names may have spaces.

    The expected arguments are what ps prints at that time.
    """
    folder = tmp_path / "Program Files"
    folder.mkdir()
    shutil.copy("/bin/sleep", folder / "my sleep")
    (tmp_path / "build.sh").write_text("ps -o args= -p $$\n")
    quoted = shlex.quote(str(folder / "my sleep"))
    script = f"""
        {LOADER} --library-path /nowhere {quoted} 0.01
        env -i A=b {quoted} 0.02
        nice -n 1 {quoted} 1.03
        {sys.executable} -c "import os; os.execv('/bin/sleep', ['-sleep', '0.04'])"
        sh build.sh
    """
    recorded = webpf("record", "--", "/bin/sh", "-c", script)
    assert recorded.returncode == 0, recorded.stderr
    lines = [line.partition("  [")[0].lstrip("├└─│ ") for line in webpf("tree", "--no-fold").stdout.splitlines()]
    for expected in ("'my sleep' 0.01", "'my sleep' 0.02", "'my sleep' 1.03", "-sleep 0.04"):
        assert lines.count(expected) == 1, lines
    assert recorded.stdout.strip() == "sh build.sh"  # printed by ps
    assert lines.count("sh build.sh") == 1
    assert "'my sleep' 1.03" in recorded.stderr  # the longest
