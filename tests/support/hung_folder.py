"""A file system that stops answering, like NFS without its server. A process serves it with FUSE's raw protocol."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOKUP, _GETATTR, _INIT, _OPENDIR, _RELEASEDIR, _ACCESS = 1, 3, 26, 27, 29, 34  # include/uapi/linux/fuse.h
_HEADER = struct.Struct("=IIQQIIII")
_MAX_REQUEST = 1 << 17  # bytes
_NO_SUCH_FILE, _NOT_IMPLEMENTED = -2, -38


@contextmanager
def hung_folder(folder: Path) -> Iterator[Callable[[], None]]:
    """Mounts a file system at this folder; yields a function that makes it hang until the end of the block.

    Until then a process can change its directory to it. Raises OSError if it can't be mounted.
    """
    with subprocess.Popen([sys.executable, __file__, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as it:
        assert it.stdin is not None and it.stdout is not None

        def hang() -> None:
            assert it.stdin is not None and it.stdout is not None
            it.stdin.write(b"hang\n")
            it.stdin.flush()
            assert it.stdout.readline() == b"hangs\n"

        try:
            if it.stdout.readline() != b"mounted\n":
                raise OSError("no FUSE file system can be mounted here")
            yield hang
        finally:
            it.kill()  # this closes its descriptor, so all waiting processes get an error
            subprocess.run(["umount", "-l", folder], check=False, stderr=subprocess.DEVNULL)


def _serve(folder: str) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if ctypes.CDLL(None).mount(b"hung", folder.encode(), b"fuse", 0, options):
        return
    print("mounted", flush=True)
    hangs = False
    while True:
        ready, _, _ = select.select([device, *([] if hangs else [0])], [], [])
        if 0 in ready:
            hangs = True
            print("hangs", flush=True)
            continue
        request = os.read(device, _MAX_REQUEST)
        if not hangs:
            _answer(device, request)


def _answer(device: int, request: bytes) -> None:
    """Answers the requests of a process that changes its directory to this folder and calls stat() for it."""
    _, operation, unique, *_ = _HEADER.unpack_from(request)
    answer, error = b"", 0
    if operation == _INIT:
        answer = struct.pack("=IIIIHHIIHHI", 7, 31, 65536, 0, 16, 12, 65536, 1, 32, 0, 0) + bytes(24)
    elif operation == _GETATTR:
        attributes = struct.pack("=QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40777, 2, 0, 0, 0, 4096, 0)
        answer = struct.pack("=QII", 0, 0, 0) + attributes
    elif operation == _OPENDIR:
        answer = struct.pack("=QII", 1, 0, 0)
    elif operation == _LOOKUP:
        error = _NO_SUCH_FILE
    elif operation not in (_RELEASEDIR, _ACCESS):
        error = _NOT_IMPLEMENTED
    os.write(device, struct.pack("=IiQ", 16 + len(answer), error, unique) + answer)


if __name__ == "__main__":
    _serve(sys.argv[1])
