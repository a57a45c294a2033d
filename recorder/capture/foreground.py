"""Runs programs one after the other, each in the foreground of the terminal as if the shell had started it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from ..errors import CannotExecute
from ..host import syscalls
from ..host.inherited_state import Inherited
from ..host.signals import ALL_STOP_SIGNALS
from ..host.sudo_user import own_environment
from . import command_launch
from .command_launch import Start

_SI_KERNEL = 0x80  # include/uapi/asm-generic/siginfo.h
_WAITED_FOR = {*ALL_STOP_SIGNALS, signal.SIGCHLD}


class Foreground:
    """Runs programs. From its creation on, this process doesn't end by stop signals: they end the program that runs.

    A signal of the terminal reaches the program anyway; other stop signals are passed on to it.
    """

    def __init__(self) -> None:
        self._inherited = Inherited.take()
        self._stop_signal: int | None = None
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            # Python ignores them, and webpf below would take that for what it inherits. A handler ends with an exec.
            is_ignored = number in self._inherited.ignored
            signal.signal(number, signal.SIG_IGN if is_ignored else lambda number, frame: None)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it were ignored, exit codes would be lost
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)

    def stop_signal(self) -> int | None:
        """Returns the latest stop signal that has come; None if none has."""
        while (info := signal.sigtimedwait(ALL_STOP_SIGNALS, 0)) is not None:
            self._stop_signal = info.si_signo
        return self._stop_signal

    def run(self, start: Start) -> int:
        """Runs a program, and returns its exit code, as a shell does. Raises CannotExecute."""
        try:
            pid = command_launch.launch(start, self._inherited)
        except OSError as error:
            raise CannotExecute(f"{os.fsdecode(start.argv[0])}: {error.strerror}") from None
        while True:
            info = signal.sigwaitinfo(_WAITED_FOR)
            if info.si_signo != signal.SIGCHLD:
                self._stop_signal = info.si_signo
                if info.si_code != _SI_KERNEL:
                    syscalls.send_signal(pid, info.si_signo)
            elif (ended := os.waitpid(pid, os.WNOHANG))[0]:
                return command_launch.exit_code(ended[1])


def webpf_again(words: Sequence[str]) -> Start:
    """Returns this program with other words on its command line, in the environment with which it was started."""
    python = [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]]
    return Start([os.fsencode(word) for word in (*python, *words)], [os.fsencode(python[0])], own_environment(), None)
