"""System calls for which Python's standard library has no function, or only a slow one."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Collection, Sequence

_libc = ctypes.CDLL(None, use_errno=True)
_SFD_CLOEXEC = os.O_CLOEXEC  # include/uapi/linux/signalfd.h
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 1, 4, 8, 38  # include/uapi/linux/prctl.h
_CLOCK_REALTIME, _TFD_TIMER_ABSTIME, _TFD_TIMER_CANCEL_ON_SET = 0, 1, 2  # include/uapi/linux/time.h, timerfd.h
_CAPABILITY_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3, include/uapi/linux/capability.h
_SIGSET_BYTES = 128  # sigset_t of glibc and musl


def signalfd(numbers: Collection[int]) -> int:
    """Returns a descriptor to read these signals from, which must be blocked; see signalfd(2). Raises OSError."""
    mask = sum(1 << (number - 1) for number in numbers).to_bytes(_SIGSET_BYTES, "little")
    descriptor: int = _libc.signalfd(-1, mask, _SFD_CLOEXEC)
    if descriptor < 0:
        raise _last_error()
    return descriptor


def send_signal(pid: int, number: int, value: int | None = None) -> None:
    """Calls kill(2), or with a value sigqueue(3). Ignores errors: the process may have ended or changed its user."""
    if value is None:
        _libc.kill(pid, number)
    else:
        _libc.sigqueue(pid, number, ctypes.c_void_p(value))


def execve(path: bytes, argv: Sequence[bytes], environment: Sequence[bytes]) -> int:
    """Calls execve(2) with any environment entries; os.execve() takes only pairs. Returns errno if it fails."""
    _libc.execve(path, _strings(argv), _strings(environment))
    return ctypes.get_errno()


def timer_until(seconds: int) -> int:
    """Returns a descriptor of a timer until this Unix time, which is cancelled (ECANCELED) when the clock is set.

    See timerfd_create(2). Raises OSError.
    """
    timer: int = _libc.timerfd_create(_CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
    if timer < 0:
        raise _last_error()
    at = (ctypes.c_long * 4)(0, 0, seconds, 0)  # struct itimerspec: the interval, then the time
    if _libc.timerfd_settime(timer, _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET, at, None):
        error = _last_error()
        os.close(timer)
        raise error
    return timer


def die_with_parent() -> None:
    """Makes the kernel kill this process (SIGKILL) when its parent ends. A change of its user undoes that."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def forbid_access() -> None:
    """Lets only root trace this process, and read its memory and environment. A change of its user undoes that.

    Raises OSError.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    """Nothing that this thread and its later threads and children execute gets more privileges. Raises OSError."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def keep_capabilities(keep: bool) -> None:
    """Whether this thread keeps its permitted capabilities when it stops being root. Raises OSError."""
    _prctl(_PR_SET_KEEPCAPS, int(keep))


def set_capabilities(permitted: Collection[int], effective: Collection[int]) -> None:
    """Sets the capabilities of this thread. The inheritable and the ambient ones become empty. Raises OSError."""
    masks = [sum(1 << number for number in numbers) for numbers in (effective, permitted)]
    words = [mask >> shift & 0xFFFFFFFF for shift in (0, 32) for mask in (*masks, 0)]
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    if _libc.capset(header, (ctypes.c_uint32 * len(words))(*words)):
        raise _last_error()


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise _last_error()


def _strings(values: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(values) + 1))(*values, None)


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def read_once(path: str) -> bytes:
    """Returns the content of a small file of /proc, at most 4 KiB. Raises OSError.

    It is for files that are read often: it creates no file object.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
