"""Labels of command lines: the same activity has the same label, and another activity another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webpf.output import command_label
from webpf.output.command_label import PROBE


def argv(line: str) -> bytes:
    """Returns an argv of the words of a line, which are separated by | ."""
    return b"".join(word.encode() + b"\0" for word in line.split("|"))


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1|-quiet|-I.|lib/regex.c|-o|/tmp/ccXyZ.s", "cc1 regex.c"),
        ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus|-quiet|../a b.cpp|-o|-", "cc1plus a b.cpp"),
        ("gcc|-O2|-c|lib/regex.c|-o|lib/regex.o", "gcc regex.c"),
        ("x86_64-linux-gnu-gcc-12|-o|out/program|a.o|b.o", "x86_64-linux-gnu-gcc-12 -o program"),
        ("gcc|--version", "gcc"),
        ("gcc|-c|-O2|conftest.c", PROBE),
        ("/usr/libexec/gcc/cc1|-quiet|conftest.c", PROBE),
        ("./conftest", PROBE),
        ("cc|-o|CMakeFiles/cmTC_1a2b3.dir/src.c.o|-c|/b/CMakeFiles/CMakeScratch/TryCompile-x/src.c", PROBE),
        ("as|--64|-o|lib/regex.o|/tmp/ccXyZ.s", "as"),
        ("/bin/sh|./configure|-q", "sh configure"),
        ("/bin/bash|-c|/usr/bin/cmake -E touch x", "bash -c cmake"),
        ("/usr/libexec/gcc/cc1|-quiet|-o|/tmp/ccXyZ.s|-", "cc1 -"),
        ("/usr/bin/ld|-plugin|/x/liblto.so|-o|sed/sed|a.o", "ld -o sed"),
        ("collect2|--eh-frame-hdr|-o|lib/x.so|a.o", "collect2 -o x.so"),
        ("ar|cr|lib/libsed.a|lib/a.o", "ar -o libsed.a"),
        ("cat|confdefs.h|-", PROBE),
        ("python|-u|-c|import sys;exec(eval(sys.stdin.readline()))", "execnet worker"),
        ("sh|-ec|echo hello", "sh -c echo"),
        ("-bash", "bash"),
        ("/usr/bin/python3.11|-u|-m|pytest|-q", "pytest"),
        ("/venv/bin/python|/venv/bin/pytest|-n|2", "pytest"),
        ("python3|setup.py|build", "python3 setup.py"),
        ("python3|-W|ignore::DeprecationWarning|-X|dev|setup.py", "python3 setup.py"),
        ("python3|-I|setup.py", "python3 setup.py"),
        ("bash|-o|pipefail|-c|make all", "bash -c make"),
        ("bash|+o|posix|run.sh", "bash run.sh"),
        ("ruby|-I|lib|test.rb", "ruby test.rb"),
        ("python3|-m|http.server", "python3 -m http.server"),
        ("perl|-e|print 1", "perl -e"),
        ("make|-s|-j2", "make"),
        ("/usr/bin/sed|-n|s/a/b/", "sed"),
        ("gcc|-include|config.c|main.c", "gcc main.c"),
        ("/", "/"),
    ],
)
def test_labels(line: str, label: str) -> None:
    assert command_label.activity(argv(line) if line else None, None) == label


def test_without_arguments_it_is_the_name() -> None:
    assert command_label.activity(None, "kworker") == "kworker"
    assert command_label.activity(b"", None) == "?"


@given(st.binary(max_size=700), st.text(max_size=15))
def test_any_bytes(raw: bytes, comm: str) -> None:
    """The label is a short text."""
    label = command_label.activity(raw, comm)
    assert label
    assert len(label) < 200
