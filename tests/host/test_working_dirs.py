"""The path of a process's working directory: its own, or none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support import wait_until

from webpf.host import working_dirs


def numbers(folder: Path) -> working_dirs.Numbers:
    """As the kernel has them, which for ordinary file systems is what stat() says, written in another way."""
    found = folder.stat()
    return os.major(found.st_dev) << 20 | os.minor(found.st_dev), found.st_ino


def test_it_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/cat"], cwd=tmp_path, stdin=subprocess.PIPE) as there:
        device, inode = numbers(tmp_path)
        assert working_dirs.path_of(there.pid, (device, inode)) == str(tmp_path)
        assert working_dirs.path_of(there.pid, (device, inode + 1)) is None
        assert working_dirs.path_of(there.pid, (device + 1, inode)) is None
    assert working_dirs.path_of(there.pid, (device, inode)) is None, "nobody is there any more"


def test_names_of_any_bytes(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"new\nline \xff")
    odd.mkdir()
    with subprocess.Popen(["/bin/cat"], cwd=odd, stdin=subprocess.PIPE) as there:
        assert working_dirs.path_of(there.pid, numbers(odd)) == os.fsencode(odd)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_where_stat_and_the_kernel_name_another_file_system(tmp_path: Path) -> None:
    """As on overlayfs: what counts is the kernel's own number, which the mount table has."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/there").mkdir()
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(tmp_path / "merged")]
    script = f"cd {tmp_path}/merged/there && grep ' {tmp_path}/merged ' /proc/self/mountinfo && exec cat"
    line = ["unshare", "--mount", "sh", "-c", '"$@" && eval "$0"', script, *mount]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as there:
        assert there.stdout is not None
        mounted = there.stdout.readline().split()
        if not mounted:
            pytest.skip("no overlay file system can be mounted here")
        wait_until(lambda: Path(f"/proc/{there.pid}/comm").read_text() == "cat\n", "cat doesn't start")
        major, _, minor = mounted[2].partition(":")
        inode = Path(f"/proc/{there.pid}/cwd/.").stat().st_ino
        found = working_dirs.path_of(there.pid, (int(major) << 20 | int(minor), inode))
        # As /proc has it: in a chroot, what is mounted elsewhere has its path from the real root.
        assert found == str(Path(f"/proc/{there.pid}/cwd").readlink())
        assert found.endswith(f"{tmp_path}/merged/there")
