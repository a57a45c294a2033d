"""The browser of the user who calls webpf: whether one can be opened here, and how to reach this machine if not."""

from __future__ import annotations

import os
import pwd
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ..host import sudo_user

_GRAPHICAL = ("x-www-browser", "firefox", "chromium", "google-chrome", "chromium-browser", "brave-browser")
# They would take over the terminal that webpf was called in, and without one use up an address that works once.
_TEXT_BROWSERS = {"w3m", "lynx", "links", "links2", "elinks", "www-browser", "browsh"}
_START_SECONDS = 2.0


class Desktop:
    """The screen at which the user sits; under sudo the one of the user behind it, with the environment he had."""

    def __init__(self) -> None:
        self._user = sudo_user.find()
        entries = self._user.environment if self._user else sudo_user.own_environment()
        pairs = (os.fsdecode(entry).partition("=") for entry in reversed(entries) if b"=" in entry)
        self._environment = {name: value for name, _, value in pairs}  # the first of a name, as getenv() has it
        self.uid = self._user.uid if self._user else os.geteuid()

    @property
    def has_display(self) -> bool:
        """Whether there is a display, and not the one of a machine far away."""
        is_remote = any(self._environment.get(name) for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"))
        return not is_remote and any(self._environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))

    def open(self, page: str) -> bool:
        """Starts the browser that BROWSER names, else the system's; returns whether one could be started.

        It runs as the user, apart from webpf and its terminal. What ends by itself is waited for, 2 s at most.
        """
        return self.has_display and any(self._start(command) for command in self._commands(page))

    def tunnel_command(self, port: int) -> str:
        """The command that makes the port reachable on the machine at which the user sits."""
        connection = self._environment.get("SSH_CONNECTION", "").split()  # client, its port, server, its port
        host, ssh_port = connection[2:] if len(connection) == 4 else (socket.gethostname(), "22")
        options = ["-L", f"{port}:127.0.0.1:{port}", *([] if ssh_port == "22" else ["-p", ssh_port])]
        return shlex.join(["ssh", *options, f"{self._user_name()}@{host}"])

    def _user_name(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    def _commands(self, page: str) -> Iterator[list[str]]:
        wanted = self._environment.get("BROWSER") or os.pathsep.join(("xdg-open", *_GRAPHICAL))
        for line in wanted.split(os.pathsep):
            try:
                words = shlex.split(line.strip().removesuffix("&"))
            except ValueError:  # an open quote
                continue
            if words and Path(words[0]).name not in _TEXT_BROWSERS:
                yield [word.replace("%s", page) for word in words] if "%s" in line else [*words, page]

    def _start(self, command: list[str]) -> bool:
        user = self._user
        try:
            process = subprocess.Popen(
                command,
                # xdg-open asks BROWSER too, and without it comes to text browsers in the end.
                env={"BROWSER": os.pathsep.join(_GRAPHICAL)} | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=user.groups if user else None,
            )
        except OSError:
            return False
        try:
            return process.wait(_START_SECONDS) == 0
        except subprocess.TimeoutExpired:
            return True
