"""The process that the shell waits for: it forks the recorder, starts the command, and exits with the command's code.

It is small and does little. So whatever happens to the recorder (a disk that hangs, a crash in a library, no memory),
the exit code of the command isn't lost. Also, Linux carries the peak memory of a process over an exec: if a large
recorder started the command, its peak would hide the command's own. So this module imports only small modules.
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

from ..host import service_manager, syscalls
from ..host.inherited_state import Inherited, fill_standard_descriptors
from ..host.signals import ALL_STOP_SIGNALS
from ..output import journal
from . import command_launch, helper_process, supervisor_channel
from .supervisor_channel import Channel

_NOT_BLOCKED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
_SI_KERNEL, _SI_QUEUE = 0x80, -1  # include/uapi/asm-generic/siginfo.h
_SIGNAL = struct.Struct("=Iii36xQ72x")  # signalfd_siginfo: number, errno, code, ..., the value of sigqueue(3)
_LEAVE_SECONDS = 1.0  # how long to wait for the exit of a recorder that is done


@dataclass(frozen=True)
class Supervised:
    """A recorder's access to its supervisor: the pid, the channel, and the socket of the helpers."""

    pid: int
    channel: Channel
    requests: socket.socket


_current: Supervised | None = None


def current() -> Supervised | None:
    """Returns the supervisor of this process; None if it has none."""
    return _current


def stop_with_supervisor() -> None:
    """Stops this process if its supervisor was stopped by SIGSTOP.

    A process can't catch SIGSTOP, so the supervisor can't forward it. The supervisor does forward SIGCONT.
    """
    if _current is None:
        return
    with contextlib.suppress(OSError):
        if syscalls.read_once(f"/proc/{_current.pid}/stat").rpartition(b")")[2][1:2] == b"T":
            os.kill(os.getpid(), signal.SIGSTOP)


def supervise(record: Callable[[], int]) -> int:
    """Runs record() in a child. Returns the exit code of the command, or of record() if no command was started."""
    fill_standard_descriptors()
    return _Supervisor(record).run()


class _Supervisor:
    def __init__(self, record: Callable[[], int]) -> None:
        self._record = record
        self._inherited = Inherited.take()
        self._channel, self._recorders_end = supervisor_channel.make_pair()
        self._helpers = helper_process.HelperProcesses()
        self._prepared: command_launch.Start | None = None
        self._is_sealed = False  # from then on, a message of the recorder can't be trusted
        self._signals = self._recorder = -1
        self._command: int | None = None
        self._command_code: int | None = None
        self._recorder_code: int | None = None
        self._is_done = self._has_recorder_ended = False
        self._early_signal: int | None = None  # a signal that came while no command was running

    def _fork(self) -> None:
        """Blocks all signals, to read them from a descriptor, and forks a helper and the recorder."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it were ignored, the children's exit codes would be lost
        taken = signal.valid_signals() - _NOT_BLOCKED
        signal.pthread_sigmask(signal.SIG_BLOCK, taken)
        self._signals = syscalls.signalfd({int(number) for number in taken})
        self._helpers.fork()  # now: a fork while the command is started would be recorded as the command
        self._recorder = os.fork()
        if self._recorder == 0:
            self._become_recorder(self._recorders_end)
        self._recorders_end.close()
        self._helpers.keep_their_end()

    def _become_recorder(self, end: Channel) -> None:
        global _current
        _current = Supervised(os.getppid(), end, self._helpers.ours)
        code = os.EX_SOFTWARE
        try:
            syscalls.die_with_parent()
            self._channel.close()
            os.close(self._signals)
            self._helpers.keep_our_end()
            for number in signal.valid_signals() - _NOT_BLOCKED - {*ALL_STOP_SIGNALS, signal.SIGCHLD, signal.SIGCONT}:
                # Some signals are sent to the whole process group: they are meant for the command, which gets them too.
                with contextlib.suppress(OSError):
                    if signal.getsignal(number) == signal.SIG_DFL:
                        signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._inherited.blocked)
            code = self._record()
        except KeyboardInterrupt:  # a SIGINT outside the block that handles it
            code = 128 + signal.SIGINT
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, ALL_STOP_SIGNALS)
            end.send(supervisor_channel.DONE + supervisor_channel.CODE.pack(code))
            os._exit(code)

    def run(self) -> int:
        """Waits until the command has ended and the recorder is done or has ended. Returns the exit code."""
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
        """Handles the messages of the recorder. Returns False if the recorder has closed its end."""
        messages = self._channel.receive()
        for message in messages or []:
            self._take_message(message[:1], message[1:])
        return messages is not None

    def _take_message(self, kind: bytes, content: bytes) -> None:
        """Handles a message of the recorder. Ignores what supervisor_channel doesn't allow now."""
        if kind == supervisor_channel.PREPARE and not self._is_sealed:
            self._prepared = command_launch.Start(*supervisor_channel.unpack(content))
        elif kind == supervisor_channel.SEALED:
            self._is_sealed = True
            self._channel.longest = supervisor_channel.LONGEST_SEALED
        elif kind == supervisor_channel.START and self._prepared is not None:
            self._start(self._prepared)
            self._prepared = None
        elif kind == supervisor_channel.HELPER:
            self._helpers.fork()
        elif kind == supervisor_channel.NOTICE and len(content) == 1 and content[0] < len(supervisor_channel.NOTICES):
            service_manager.notify(supervisor_channel.NOTICES[content[0]])
        elif kind == supervisor_channel.NOTICE_TEXT and not self._is_sealed:
            text = content.decode("utf-8", "replace").replace("\n", " ")
            service_manager.notify(f"STATUS={text}")
        elif kind == supervisor_channel.DONE and len(content) == supervisor_channel.CODE.size:
            self._is_done, self._recorder_code = True, supervisor_channel.CODE.unpack(content)[0] & 0xFF

    def _start(self, start: command_launch.Start) -> None:
        if self._early_signal is not None:
            self._tell(supervisor_channel.REFUSED, self._early_signal)
            return
        try:
            self._command = command_launch.launch(start, self._inherited)
        except OSError as error:
            self._tell(supervisor_channel.FAILED, error.errno)
        else:
            self._tell(supervisor_channel.STARTED, self._command)

    def _tell(self, name: str, value: int | None) -> None:
        self._channel.send(supervisor_channel.pack(name, value))

    def _take_signal(self) -> None:
        number, _, code, value = _SIGNAL.unpack(os.read(self._signals, _SIGNAL.size))
        if number == signal.SIGCONT and not self._has_recorder_ended:
            syscalls.send_signal(self._recorder, number)
        if number == signal.SIGCHLD:
            self._reap()
        elif self._command is None or self._command_code is not None:
            if number in ALL_STOP_SIGNALS and number not in self._inherited.ignored:
                self._early_signal = number
            if number in ALL_STOP_SIGNALS and code != _SI_KERNEL:  # the terminal sends its signals to the recorder too
                syscalls.send_signal(self._recorder, number)
        elif code != _SI_KERNEL or number == signal.SIGALRM:
            # Forward signals of other processes, and an alarm. The terminal sends its signals to the command too, and
            # other signals from the kernel are only about this process.
            syscalls.send_signal(self._command, number, value if code == _SI_QUEUE else None)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if pid == self._command:
                    self._command_code = command_launch.exit_code(status)
                    self._tell(supervisor_channel.ENDED, self._command_code)
                elif pid == self._recorder:
                    self._has_recorder_ended = True
                    self._report_recorder_end(status)

    def _report_recorder_end(self, status: int) -> None:
        if self._is_done:
            return
        self._recorder_code = command_launch.exit_code(status)
        if os.WIFSIGNALED(status) and self._early_signal is None:
            then = "the command continues, but is not recorded" if self._command else "nothing more is recorded"
            _say(f"the recorder was killed by signal {os.WTERMSIG(status)}; {then}")


def _say(message: str) -> None:
    """Writes one line to stderr, unless that would block."""
    with contextlib.suppress(OSError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{journal.prefix(journal.ERROR)}webpf: {message}\n".encode())
