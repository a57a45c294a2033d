"""Checks whether this process can record on this machine: its privileges, the kernel, what /proc shows."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from ..errors import NoPermission, Unavailable
from . import btf, program_source

MIN_KERNEL = (5, 8)  # BPF_MAP_TYPE_RINGBUF, bpf_ktime_get_boot_ns()

CAP_BPF = 39  # include/uapi/linux/capability.h, as the others
_CAP_DAC_READ_SEARCH, _CAP_SYS_PTRACE, _CAP_SYS_ADMIN, _CAP_PERFMON = 2, 19, 21, 38
_OPTIONAL = {
    _CAP_SYS_PTRACE: (
        "CAP_SYS_PTRACE",
        "working directories of other users' processes, and no file names of what they ran before the recording",
    ),
    _CAP_DAC_READ_SEARCH: ("CAP_DAC_READ_SEARCH", "paths of cgroups made while it records"),
}
# PROC_CGROUP_INIT_INO, ..., include/linux/proc_ns.h
_FIRST_NAMESPACES = {"cgroup": 0xEFFFFFFB, "pid": 0xEFFFFFFC, "user": 0xEFFFFFFD}
_SYSTEM_FILE = Path("/proc/sys/kernel/random/boot_id")


def kernel_version(release: str = platform.release()) -> tuple[int, int, int]:
    """Returns the version of a kernel, by default of the running one."""
    numbers = [int(number) for number in re.findall(r"\d+", release)[:3]]
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return major, minor, patch


def has_privileges() -> bool:
    """Whether this process may load tracing programs: CAP_BPF with CAP_PERFMON, or CAP_SYS_ADMIN."""
    return has_capability(_CAP_SYS_ADMIN) or (has_capability(CAP_BPF) and has_capability(_CAP_PERFMON))


def missing_capabilities() -> dict[str, str]:
    """Returns the optional capabilities that this process lacks, and what a recording lacks without each."""
    return {name: effect for number, (name, effect) in _OPTIONAL.items() if not has_capability(number)}


def has_capability(capability: int) -> bool:
    """Whether this process has a capability, by its number, in effect."""
    match = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(errors="replace"), re.MULTILINE)
    return bool(match and int(match[1], 16) >> capability & 1)


def sees_all_processes() -> bool:
    """Whether /proc shows this process the processes of all users. If it is mounted with hidepid, it may not."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()]
    options = next((fields[-1] for fields in reversed(mounts) if fields[4] == "/proc"), "")
    hidden = re.search(r"\bhidepid=(\w+)", options)
    if hidden is None or hidden[1] in ("0", "off") or has_capability(_CAP_SYS_PTRACE):
        return True
    group = re.search(r"\bgid=(\d+)", options)
    is_member = group is not None and int(group[1]) in {os.getegid(), *os.getgroups()}
    return is_member and hidden[1] not in ("4", "ptraceable")


def sees_all_pids() -> bool:
    """Whether this process is in the first pid namespace, whose pids the kernel reports; in a container it is not."""
    return is_in_first("pid")


def sees_all_cgroups() -> bool:
    """Whether this process is in the first cgroup namespace. In another one, it can't tell the paths of cgroups."""
    return is_in_first("cgroup")


def is_in_first(kind: str) -> bool:
    """Whether this process is in the machine's first namespace of this kind: `cgroup`, `pid` or `user`."""
    path = Path(f"/proc/self/ns/{kind}")
    return not path.exists() or path.stat().st_ino == _FIRST_NAMESPACES[kind]  # a kernel can lack this kind


def check_machine(sudo_command: str = "sudo webpf", program: Path | None = None) -> None:
    """Raises NoPermission or Unavailable, with a hint, if this process can't record. Takes a few milliseconds.

    program: file with the compiled BPF programs; it also raises what program_source.find() raises for it.
    """
    if not has_privileges():
        raise NoPermission("recording needs root (or CAP_BPF and CAP_PERFMON)", sudo_command)
    if not is_in_first("user"):
        raise NoPermission(
            "this process is in a user namespace of its own (a container, or PrivateUsers= of a service), where its"
            " capabilities don't count",
            sudo_command,
        )
    if not _SYSTEM_FILE.exists():
        raise Unavailable(
            "/proc shows processes only (its mount option subset=pid, or ProcSubset=pid of a service), and recording"
            f" needs the rest too: there is no {_SYSTEM_FILE}"
        )
    if not sees_all_processes():
        raise NoPermission(
            "/proc hides other users' processes (hidepid), so recording needs root (or CAP_SYS_PTRACE too)",
            sudo_command,
        )
    if not sees_all_pids():
        raise Unavailable(
            "this is a container with process ids of its own, so what the kernel reports can't be matched with /proc:"
            " run webpf on the host, or the container with --pid=host",
        )
    if kernel_version() < MIN_KERNEL:
        raise Unavailable(f"Linux {platform.release()} is too old: webpf needs 5.8 or newer", "uname -r")
    if not btf.VMLINUX.exists():
        btf.Layouts()  # raises Unavailable
    program_source.check_available(program)
