"""The runs under other kernels and distributions: what they take for a root file system without compilers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.compat import rootfs, service


@pytest.mark.parametrize(
    "name",
    [
        "usr/lib/python3/dist-packages/bcc",
        "usr/lib/x86_64-linux-gnu/libbcc.so.0.26.0",
        "usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
        "usr/lib/x86_64-linux-gnu/libclang-cpp.so.14",
        "usr/lib/x86_64-linux-gnu/libbpf.so.1.1.0",
        "usr/bin/clang-14",
        "usr/bin/llc",
        "usr/bin/bpf-gcc",
        "usr/sbin/bpftool",
    ],
)
def test_what_can_compile_is_found(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).touch()
    assert rootfs.compilers(tmp_path) == [str(tmp_path / name)]


def test_bcc_of_this_machine_is_found(tmp_path: Path) -> None:
    """The names that dpkg lists for the package."""
    listed = subprocess.run(["dpkg", "-L", "python3-bpfcc"], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no python3-bpfcc here, or no dpkg")
    for name in listed.stdout.splitlines():
        (tmp_path / name[1:]).mkdir(parents=True, exist_ok=True)
    assert str(tmp_path / "usr/lib/python3/dist-packages/bcc") in rootfs.compilers(tmp_path)


def test_other_files_are_not_taken_for_compilers(tmp_path: Path) -> None:
    """gcc is there for the tests' own programs, and the tree has the tests."""
    for name in ("opt", "usr/bin/gcc", "usr/lib/libbz2.so.1", f"{rootfs.TREE}/tests/kernel/bcc"):
        (tmp_path / name).mkdir(parents=True)
    assert rootfs.compilers(tmp_path) == []


def test_the_result_of_a_guest_whose_power_was_cut(tmp_path: Path) -> None:
    """A line can be broken, and each boot writes the lines of all boots before it."""
    result = tmp_path / "result"
    assert service.read_lines(result) == []
    result.write_bytes(
        b'{"phase": "A", "kernel": "#1 SMP Debian 6.1.2-3 (2026-11-16)", "systemd": "systemd 252 (252.39)"}\r\n'
        b'{"exposure": "1.2"}\r\n{"check": "install", "ok": true, "found": ""}\r\n{"che\0\0\r\n'
        b'{"check": "a reader", "ok": false, "found": "(77, ...)"}\r\n{"done": true}\r\n'
    )
    row = service.make_row("bookworm", service.read_lines(result), 60.04)
    assert (row["passed"], row["failures"], row["seconds"]) == (1, {"a reader": "(77, ...)"}, 60.0)
    table = service.table([row | {"date": "2026-11-27"}])
    assert "| bookworm | 6.1.2 | 252 | 1 | 1 | 1.2 | 60 | 2026-11-27 |\n" in table
    assert "- bookworm: a reader failed\n" in table
    assert table.endswith("What was checked: install; a reader.\n")
