"""Answers the requests of helper_protocol.py, in a helper. It checks them: they may come from a malicious process."""

from __future__ import annotations

import marshal
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..errors import WebpfError
from ..host import cgroups, proc_usage, procfs, recording_cgroups, working_dirs
from ..kernel import bpf_syscall
from ..model.argv import MAX_ARGV_BYTES
from . import helper_protocol as protocol

_REQUEST, _ANSWER = protocol.REQUEST, protocol.ANSWER
_NOTHING = b""
_held: list[int] = []  # descriptors of BPF programs


def answer(request: bytes, parent: int) -> Iterator[bytes]:
    """Yields the packets that answer a request. Nothing in a request makes it raise an error.

    parent: the process that forked this helper; it may have ended.
    """
    if len(request) < _REQUEST.size:
        return
    number, kind = _REQUEST.unpack_from(request)
    numbers = request[_REQUEST.size :]
    if kind == protocol.DIRECTORIES:
        yield from (_ANSWER.pack(number, protocol.DIRECTORY) + each for each in _directories(numbers))
    else:
        yield from _packets(number, _answer_one(kind, numbers, parent))


def _packets(number: int, content: bytes) -> Iterator[bytes]:
    rest = memoryview(content)
    while len(rest) > protocol.ANSWER_BYTES:
        yield _ANSWER.pack(number, protocol.MORE) + rest[: protocol.ANSWER_BYTES]
        rest = rest[protocol.ANSWER_BYTES :]
    yield _ANSWER.pack(number, protocol.LAST) + rest


def _directories(numbers: bytes) -> Iterable[bytes]:
    size = protocol.ENTRY.size
    if not 0 < len(numbers) <= protocol.MOST_DIRECTORIES * size or len(numbers) % size:
        return [_NOTHING]
    return (_directory(*entry) for entry in protocol.ENTRY.iter_unpack(numbers))


def _directory(device: int, inode: int, *pids: int) -> bytes:
    paths = (working_dirs.path_of(pid, (device, inode)) for pid in pids if pid)
    path = next((path for path in paths if path is not None), b"")
    # A path is from readlink(), so it has at most a page.
    return protocol.DIRECTORY_ID.pack(device, inode) + (path.encode() if isinstance(path, str) else path)


def _answer_one(kind: int, numbers: bytes, parent: int) -> bytes:
    try:
        values = protocol.NUMBERS[kind].unpack(numbers)
        if kind in _OF_CGROUPS:
            folder = _folder_of_recording(values[0], parent)
            return _NOTHING if folder is None else _OF_CGROUPS[kind](folder, parent)
        return _ANSWERS[kind](*values)
    except WebpfError as error:
        return os.fsencode(error.message)
    except (KeyError, struct.error, OSError, ValueError, ArithmeticError, LookupError):
        return _NOTHING


def _process(pid: int, max_args: int, clock_offset: int) -> bytes:
    cgroup_ids: dict[str, int] = {}
    process = procfs.read_process(pid, clock_offset, min(max_args, MAX_ARGV_BYTES), cgroup_ids)
    return _NOTHING if process is None else marshal.dumps((tuple(process), cgroup_ids))


def _usage(pid: int, start_ns: int, now_ns: int) -> bytes:
    usage = proc_usage.read_usage(pid, start_ns, now_ns)
    return _NOTHING if usage is None else marshal.dumps(tuple(usage))


def _cgroup(cgroup_id: int) -> bytes:
    path = cgroups.path_of(cgroup_id)
    return _NOTHING if path is None else os.fsencode(path)


def _hold(program_id: int) -> bytes:
    if len(_held) == protocol.MOST_PROGRAMS:
        return _NOTHING
    descriptor = bpf_syscall.open_program(program_id)
    _held.append(descriptor)
    return protocol.HELD.pack(os.getpid(), descriptor)


def _enter(folder: Path, supervisor: int) -> bytes:
    recording_cgroups.move(supervisor, folder)
    return protocol.DONE


def _leave(folder: Path, supervisor: int) -> bytes:
    recording_cgroups.move(supervisor, folder.parent)
    return protocol.DONE


def _remove(folder: Path, supervisor: int) -> bytes:
    return protocol.DONE if recording_cgroups.remove(folder) else protocol.KEPT


def _folder_of_recording(cgroup_id: int, supervisor: int) -> Path | None:
    """Returns the folder of a cgroup if root made it for the recorder of this supervisor; else None.

    The user may have made a cgroup with the same name, below a cgroup that is delegated to the user.
    """
    path, mount = cgroups.path_of(cgroup_id), cgroups.mount_point()
    if path is None or mount is None or os.getppid() != supervisor:
        return None
    folder = mount / path.lstrip("/")
    recorder = recording_cgroups.recorder_of(folder)
    stat = procfs.read_stat(recorder) if recorder is not None else None
    is_ours = stat is not None and stat.ppid == supervisor and folder.stat().st_uid == 0
    return folder if is_ours else None


_ANSWERS: dict[int, Callable[..., bytes]] = {
    protocol.PROCESS: _process,
    protocol.USAGE: _usage,
    protocol.CGROUP: _cgroup,
    protocol.HOLD: _hold,
}
_OF_CGROUPS: dict[int, Callable[[Path, int], bytes]] = {
    protocol.ENTER: _enter,
    protocol.LEAVE: _leave,
    protocol.REMOVE: _remove,
}
