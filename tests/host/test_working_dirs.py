"""The path of a process's working directory is found if it is the directory that the kernel reported, and else not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support import wait_until

from webpf.host import working_dirs


def numbers(folder: Path) -> working_dirs.DirectoryId:
    """Returns what the kernel reports for a folder: on most file systems stat() has the same values."""
    status = folder.stat()
    return os.major(status.st_dev) << 20 | os.minor(status.st_dev), status.st_ino


def test_only_the_reported_directory_is_taken(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/cat"], cwd=tmp_path, stdin=subprocess.PIPE) as child:
        device, inode = numbers(tmp_path)
        assert working_dirs.path_of(child.pid, (device, inode)) == str(tmp_path)
        assert working_dirs.path_of(child.pid, (device, inode + 1)) is None
        assert working_dirs.path_of(child.pid, (device + 1, inode)) is None
    assert working_dirs.path_of(child.pid, (device, inode)) is None, "the process has ended"


def test_names_of_any_bytes(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"new\nline \xff")
    odd.mkdir()
    with subprocess.Popen(["/bin/cat"], cwd=odd, stdin=subprocess.PIPE) as child:
        assert working_dirs.path_of(child.pid, numbers(odd)) == os.fsencode(odd)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_stat_and_the_kernel_have_different_devices(tmp_path: Path) -> None:
    """On overlayfs the kernel reports the device of the mount table, and stat() another."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/there").mkdir()
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(tmp_path / "merged")]
    script = f"cd {tmp_path}/merged/there && grep ' {tmp_path}/merged ' /proc/self/mountinfo && exec cat"
    line = ["unshare", "--mount", "sh", "-c", '"$@" && eval "$0"', script, *mount]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        mounted = child.stdout.readline().split()
        if not mounted:
            pytest.skip("no overlay file system can be mounted here")
        wait_until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "cat\n", "cat doesn't start")
        major, _, minor = mounted[2].partition(":")
        inode = Path(f"/proc/{child.pid}/cwd/.").stat().st_ino
        found = working_dirs.path_of(child.pid, (int(major) << 20 | int(minor), inode))
        # The expected path is from /proc: in a chroot it can begin at the real root.
        assert found == str(Path(f"/proc/{child.pid}/cwd").readlink())
        assert found.endswith(f"{tmp_path}/merged/there")
