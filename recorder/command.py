"""The command that is recorded: found, started, sent the signals that webpf gets in its place, and waited for.

It has webpf's terminal, working directory and process group, so that what the terminal sends (Ctrl-C, Ctrl-Z) reaches
both: it acts as it would without webpf, which waits for it. Its exit code is webpf's.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .errors import CannotExecute, CommandNotFound
from .invoker import Invoker, own_environment
from .stopsignal import ASKING

FORWARDED = (*ASKING, signal.SIGQUIT)
"""Those that are meant for the command when they are sent to webpf."""

_SI_KERNEL = 0x80  # asm-generic/siginfo.h: from the terminal, which has sent it to the command too
_WAIT_SECONDS = 0.1


class Command:
    """A command line, to be run once. invoker: as whom; None: as whoever runs webpf."""

    def __init__(self, argv: Sequence[str], invoker: Invoker | None = None) -> None:
        self.argv = list(argv)
        self.pidfd = -1
        self._invoker = invoker
        self._environment = invoker.environment if invoker else own_environment()
        self._inherited = [number for number in _descriptors() if number > 2 and os.get_inheritable(number)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def has_started(self) -> bool:
        """Whether it runs, or has run."""
        return self._process is not None

    def check(self) -> None:
        """Raises CommandNotFound or CannotExecute for what can't be run, as far as that can be seen beforehand."""
        name = self.argv[0]
        path = self._environment.get("PATH", os.defpath)
        if shutil.which(name, path=path) is not None:
            return
        found = name if "/" in name else shutil.which(name, mode=os.F_OK, path=path)
        if found is None or not Path(found).exists():
            raise CommandNotFound(f"{name}: no such command")
        raise CannotExecute(f"{found}: is no program" if Path(found).is_dir() else f"{found}: may not be executed")

    def hold_signals(self) -> None:
        """From now on signals wait until they are passed on. Before there are threads, which would take them else."""
        signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)

    def start(self) -> None:
        """Starts it. Raises CommandNotFound or CannotExecute."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)  # it inherits that
        try:
            self._start()
        finally:
            self.hold_signals()

    def _start(self) -> None:
        try:
            self._process = self._spawn(self.argv)
        except FileNotFoundError:
            raise CommandNotFound(f"{self.argv[0]}: no such command, or its interpreter is missing") from None
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise CannotExecute(f"{self.argv[0]}: {error.strerror}") from None
            # A script without an interpreter's name: every shell takes it for one of its own.
            path = shutil.which(self.argv[0], path=self._environment.get("PATH", os.defpath)) or self.argv[0]
            self._process = self._spawn(["/bin/sh", path, *self.argv[1:]])
        self.pidfd = os.pidfd_open(self._process.pid)

    def _spawn(self, argv: list[str]) -> subprocess.Popen[bytes]:
        who = self._invoker
        return subprocess.Popen(
            argv,
            env=self._environment,
            pass_fds=self._inherited,
            user=who.uid if who else None,
            group=who.gid if who else None,
            extra_groups=who.groups if who else None,
        )

    def send(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def has_ended(self) -> bool:
        """Whether it has ended; passes on what signals have come since the last call."""
        while (received := signal.sigtimedwait(FORWARDED, 0)) is not None:
            if received.si_code != _SI_KERNEL:
                self.send(received.si_signo)
        return self._process is not None and self._process.poll() is not None

    def wait(self) -> int:
        """Waits for its end; returns the exit code that a shell would give: 128 + n for a signal n."""
        assert self._process is not None
        while not self.has_ended():
            try:
                self._process.wait(_WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        code = self._process.returncode
        return 128 - code if code < 0 else code


def _descriptors() -> list[int]:
    with os.scandir("/proc/self/fd") as entries:
        numbers = [int(entry.name) for entry in entries]
    return [number for number in numbers if _is_open(number)]


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False  # the one that the folder itself was read by
    return True
