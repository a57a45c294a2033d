"""The user's desktop: opens a page in the user's browser, or says how to reach this machine from another one."""

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
# Text browsers would take over webpf's terminal; without a terminal they would use up the address, which works once.
_TEXT_BROWSERS = {"w3m", "lynx", "links", "links2", "elinks", "www-browser", "browsh"}
_START_SECONDS = 2.0


class Desktop:
    """The desktop session of the user who runs webpf; under sudo, that of the user who called sudo."""

    def __init__(self) -> None:
        self._user = sudo_user.find()
        entries = self._user.environment if self._user else sudo_user.own_environment()
        pairs = (os.fsdecode(entry).partition("=") for entry in reversed(entries) if b"=" in entry)
        self._environment = {name: value for name, _, value in pairs}  # the first entry of a name, like getenv()
        self.uid = self._user.uid if self._user else os.geteuid()

    @property
    def has_display(self) -> bool:
        """Whether there is a local display: not one that ssh forwards."""
        is_remote = any(self._environment.get(name) for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"))
        return not is_remote and any(self._environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))

    def open(self, page: str) -> bool:
        """Starts the browser from BROWSER, or the system's; returns whether one was started.

        The browser runs as the user, in a session of its own. A launcher that exits within 2 s must exit with 0.
        """
        return self.has_display and any(self._start(command) for command in self._commands(page))

    def tunnel_command(self, port: int) -> str:
        """Returns the ssh command that makes the port reachable on the user's own machine."""
        connection = self._environment.get(
            "SSH_CONNECTION", ""
        ).split()  # client address, client port, server address, server port
        host, ssh_port = connection[2:] if len(connection) == 4 else (socket.gethostname(), "22")
        options = ["-L", f"{port}:127.0.0.1:{port}", *([] if ssh_port == "22" else ["-p", ssh_port])]
        return shlex.join(["ssh", *options, f"{self._user_name()}@{host}"])

    def _user_name(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    def _commands(self, page: str) -> Iterator[list[str]]:
        browsers = self._environment.get("BROWSER") or os.pathsep.join(("xdg-open", *_GRAPHICAL))
        for line in browsers.split(os.pathsep):
            try:
                words = shlex.split(line.strip().removesuffix("&"))
            except ValueError:  # a quote that isn't closed
                continue
            if words and Path(words[0]).name not in _TEXT_BROWSERS:
                yield [word.replace("%s", page) for word in words] if "%s" in line else [*words, page]

    def _start(self, command: list[str]) -> bool:
        user = self._user
        try:
            process = subprocess.Popen(
                command,
                # xdg-open reads BROWSER too; without it, xdg-open tries text browsers last.
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
