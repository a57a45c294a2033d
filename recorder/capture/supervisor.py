"""The process that the shell waits for: it forks the recorder, starts the command, and ends as that did.

It stays small and does little, so that nothing which happens to the recorder (a disk that hangs, a crash within a
library, no memory) costs the command its exit code. And since Linux carries the peak memory of a process over what it
executes, the command's own is not hidden behind that of a large recorder. So only what is small is imported here.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..host import syscalls
from ..host.inherited import Inherited, fill_standard_descriptors
from ..host.signals import ALL_STOP_SIGNALS
from . import channel, directory_worker, launch
from .channel import Channel

_NOT_BLOCKED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
_SI_KERNEL, _SI_QUEUE = 0x80, -1  # include/uapi/asm-generic/siginfo.h
_SIGNAL = struct.Struct("=Iii36xQ72x")  # signalfd_siginfo: number, errno, code, ..., the pointer that was sent along
_LEAVE_SECONDS = 1.0  # for which a recorder that is done is waited for


@dataclass(frozen=True)
class Supervised:
    """What a recorder has of its supervisor: its pid, messages to it, and the socket of the directory workers."""

    pid: int
    channel: Channel
    lookups: socket.socket


_current: Supervised | None = None


def current() -> Supervised | None:
    """The supervisor of this process; None if it has none."""
    return _current


def stop_with_supervisor() -> None:
    """Stops this process if its supervisor is stopped by SIGSTOP, which that can't hand on; SIGCONT it hands on."""
    if _current is None:
        return
    with contextlib.suppress(OSError):
        if syscalls.read_once(f"/proc/{_current.pid}/stat").rpartition(b")")[2][1:2] == b"T":
            os.kill(os.getpid(), signal.SIGSTOP)


def supervise(record: Callable[[], int]) -> int:
    """Runs record() in a child. Returns the exit code of the command, or else that of record()."""
    fill_standard_descriptors()
    return _Supervisor(record).run()


class _Supervisor:
    def __init__(self, record: Callable[[], int]) -> None:
        self._record = record
        self._inherited = Inherited.take()
        self._channel, self._recorders_end = channel.make_pair()
        self._workers = directory_worker.Workers()
        self._signals = self._recorder = -1
        self._command: int | None = None
        self._command_code: int | None = None
        self._recorder_code: int | None = None
        self._is_done = self._has_recorder_ended = False
        self._early_signal: int | None = None  # a signal that came before the command was started

    def _fork(self) -> None:
        """Take over the signals, for as long as this process lives, and fork a worker and the recorder."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would take the children's exit codes away
        taken = signal.valid_signals() - _NOT_BLOCKED
        signal.pthread_sigmask(signal.SIG_BLOCK, taken)
        self._signals = syscalls.signalfd({int(number) for number in taken})
        self._workers.fork()  # now: while the command is started, what this process forks is taken for that
        self._recorder = os.fork()
        if self._recorder == 0:
            self._become_recorder(self._recorders_end)
        self._recorders_end.close()
        self._workers.keep_their_end()

    def _become_recorder(self, end: Channel) -> None:
        global _current
        _current = Supervised(os.getppid(), end, self._workers.ours)
        code = os.EX_SOFTWARE
        try:
            syscalls.die_with_parent()
            self._channel.close()
            os.close(self._signals)
            self._workers.keep_our_end()
            for number in signal.valid_signals() - _NOT_BLOCKED - {*ALL_STOP_SIGNALS, signal.SIGCHLD, signal.SIGCONT}:
                # Also those that are sent to a whole group of processes: the command gets them as well.
                with contextlib.suppress(OSError):
                    if signal.getsignal(number) == signal.SIG_DFL:
                        signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._inherited.blocked)
            code = self._record()
        except KeyboardInterrupt:  # at a moment at which nobody else expects it
            code = 128 + signal.SIGINT
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, ALL_STOP_SIGNALS)
            end.send(channel.DONE, code)
            os._exit(code)

    def run(self) -> int:
        """Returns when the command, or else the recorder, has ended, and the other has nothing more to say."""
        self._fork()
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        poll.register(self._signals, select.POLLIN)
        while not self._is_over():
            for descriptor, _ in poll.poll():
                if descriptor == self._signals:
                    self._take_signal()
                elif not self._take_messages():
                    poll.unregister(descriptor)
        deadline = time.monotonic() + _LEAVE_SECONDS
        while not self._has_recorder_ended and (left := deadline - time.monotonic()) > 0:
            if select.select([self._signals], [], [], left)[0]:
                self._take_signal()
        code = self._recorder_code if self._command_code is None else self._command_code
        return os.EX_SOFTWARE if code is None else code

    def _is_over(self) -> bool:
        if self._command is not None and self._command_code is None:
            return False
        return self._is_done or self._has_recorder_ended

    def _take_messages(self) -> bool:
        """False if the recorder has left."""
        messages = self._channel.receive()
        for name, *values in messages or []:
            if name == channel.START:
                self._start(launch.Start(*values))
            elif name == channel.WORKER:
                self._workers.fork()
            else:
                self._is_done, self._recorder_code = True, values[0]
        return messages is not None

    def _start(self, start: launch.Start) -> None:
        if self._early_signal is not None:
            self._channel.send(channel.REFUSED, self._early_signal)
            return
        try:
            self._command = launch.launch(start, self._inherited)
        except OSError as error:
            self._channel.send(channel.FAILED, error.errno)
        else:
            self._channel.send(channel.STARTED, self._command)

    def _take_signal(self) -> None:
        number, _, code, value = _SIGNAL.unpack(os.read(self._signals, _SIGNAL.size))
        if number == signal.SIGCONT:
            syscalls.send_signal(self._recorder, number)
        if number == signal.SIGCHLD:
            self._reap()
        elif self._command is None or self._command_code is not None:
            if number in ALL_STOP_SIGNALS and number not in self._inherited.ignored:
                self._early_signal = number
            if number in ALL_STOP_SIGNALS and code != _SI_KERNEL:  # from the terminal, the recorder has it already
                syscalls.send_signal(self._recorder, number)
        elif code != _SI_KERNEL or number == signal.SIGALRM:
            # Not what the terminal has sent to it too, nor what the kernel says of this process alone.
            syscalls.send_signal(self._command, number, value if code == _SI_QUEUE else None)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if pid == self._command:
                    self._command_code = _exit_code(status)
                    self._channel.send(channel.ENDED, self._command_code)
                elif pid == self._recorder:
                    self._has_recorder_ended = True
                    self._report_recorder_end(status)

    def _report_recorder_end(self, status: int) -> None:
        if self._is_done:
            return
        self._recorder_code = _exit_code(status)
        if os.WIFSIGNALED(status) and self._early_signal is None:
            then = "the command goes on, unrecorded" if self._command else "nothing more is recorded"
            _say(f"the recorder was ended by signal {os.WTERMSIG(status)}; {then}")


def _exit_code(status: int) -> int:
    """As a shell gives it: 128 + n for a signal n."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _say(message: str) -> None:
    """One line on stderr, if that takes it at once."""
    with contextlib.suppress(OSError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"webpf: {message}\n".encode())
