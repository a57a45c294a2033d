"""Checks what recording needs on this machine, and says how to fix what is missing."""

from __future__ import annotations

import mmap
import os
import platform
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from ..errors import WebpfError
from ..host import cgroups
from ..model import argv
from . import bcc_loader, btf, preflight, probe, program_source

_MIN_FREE_BYTES = 100 * 2**20
_MIN_SQLITE = (3, 37, 0)  # STRICT tables


@dataclass(frozen=True)
class Check:
    """One line of the report. ok: None if it is not needed. detail: what was found. fix: the command that helps."""

    name: str
    ok: bool | None
    detail: str
    fix: str = ""


def examine(db: Path, sudo_command: str) -> list[Check]:
    """Runs all checks, the fast ones first. If none failed, the last one loads and attaches the BPF programs."""
    checks = [
        _kernel(),
        _btf(),
        *_bpf_object(),
        _privileges(sudo_command),
        _capabilities(),
        _pids(),
        _lockdown(),
        Check("page size", True, f"{mmap.PAGESIZE} bytes"),
        _cgroup(),
        _sqlite(),
        _disk(db),
    ]
    if all(check.ok is not False for check in checks):
        checks.append(_bpf_programs())
    return checks


def _kernel() -> Check:
    release = platform.release()
    new_enough = preflight.kernel_version() >= preflight.MIN_KERNEL
    return Check("kernel", new_enough, f"Linux {release} {platform.machine()} (needs 5.8)", "update the kernel")


def _btf() -> Check:
    try:
        btf.Layouts()
    except WebpfError as error:
        return Check("BTF", False, error.message, error.hint)
    return Check("BTF", True, f"{btf.VMLINUX} ({btf.VMLINUX.stat().st_size / 2**20:.1f} MiB)")


def _bpf_object() -> list[Check]:
    """Returns where the compiled BPF programs come from, and BCC, which is needed only where there are none yet."""
    try:
        chosen = program_source.chosen_file(None)
        found = program_source.find() if chosen else program_source.find_stored()
    except WebpfError as error:
        return [Check("BPF object", False, error.message, error.hint)]
    if found is None:
        return [Check("BPF object", None, "none yet: BCC compiles it for the first recording"), _bcc(is_needed=True)]
    return [
        Check("BPF object", True, f"from {found.origin} (BCC {found.compiled.bcc_version})"),
        _bcc(is_needed=False),
    ]


def _bcc(is_needed: bool) -> Check:
    try:
        package = bcc_loader.find()
    except WebpfError as error:
        if not is_needed:
            return Check("BCC", None, f"{error.message}, and not needed: the BPF programs are compiled")
        return Check("BCC", False, error.message, error.hint)
    return Check("BCC", True, f"{package.version} in {package.folder}")


def _privileges(sudo_command: str) -> Check:
    user = f"uid {os.geteuid()}"
    if preflight.has_privileges():
        if not preflight.is_in_first("user"):
            return Check("privileges", False, f"{user} in a user namespace, where it may not load them", sudo_command)
        if not preflight.sees_all_processes():
            return Check("privileges", False, f"{user}; /proc hides other users' processes (hidepid)", sudo_command)
        return Check("privileges", True, f"{user}, may load tracing programs")
    return Check("privileges", False, f"{user} may not load tracing programs", sudo_command)


def _capabilities() -> Check:
    missing = [f"without {name}: no {effect}" for name, effect in preflight.missing_capabilities().items()]
    return Check("capabilities", None if missing else True, "; ".join(missing) or "all that a recording can use")


def _pids() -> Check:
    if preflight.sees_all_pids():
        return Check("pid namespace", True, "the host's")
    return Check("pid namespace", False, "a container's own", "run webpf on the host, or with --pid=host")


def _lockdown() -> Check:
    path = Path("/sys/kernel/security/lockdown")
    try:
        mode = path.read_text().partition("[")[2].partition("]")[0]
    except OSError:
        return Check("lockdown", True, "none")
    return Check("lockdown", mode != "confidentiality", mode, "boot without lockdown=confidentiality")


def _cgroup() -> Check:
    mount = cgroups.mount_point()
    if mount and not preflight.sees_all_cgroups():
        return Check("cgroup v2", None, "a namespace of its own (a container's?): processes have no cgroup path")
    return Check("cgroup v2", True if mount else None, str(mount or "not mounted: processes have no cgroup path"))


def _sqlite() -> Check:
    new_enough = sqlite3.sqlite_version_info >= _MIN_SQLITE
    return Check("SQLite", new_enough, f"{sqlite3.sqlite_version} (needs 3.37)", "use a newer Python or distribution")


def _disk(db: Path) -> Check:
    folder = db.absolute().parent
    if not folder.is_dir():
        return Check("disk", False, f"there is no folder {folder}", f"mkdir -p {argv.file_word(folder)}")
    free = shutil.disk_usage(folder).free
    return Check(
        "disk", free >= _MIN_FREE_BYTES, f"{free / 2**30:.1f} GiB free in {folder}", f"df -h {argv.file_word(folder)}"
    )


def _bpf_programs() -> Check:
    try:
        probe.Probe(0, buffer_mib=1).close()
    except WebpfError as error:
        return Check("BPF programs", False, error.message, error.hint)
    return Check("BPF programs", True, "loaded and attached")
