"""The browser that `webpf browse` opens, and the output if it opens none. Scripts take the place of browsers."""

from __future__ import annotations

import getpass
import os
import pwd
import shlex
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import NOBODY, let_others_in, wait_until
from visits import browsing

TEXT_BROWSERS = ("w3m", "lynx", "links", "links2", "elinks", "www-browser")
SSH = {"SSH_CONNECTION": "192.0.2.7 50000 198.51.100.4 22"}


class Browsers:
    """Scripts that log each call: their name, user id and arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "log"
        self._log.touch()
        for path in (folder, self._log):
            path.chmod(0o777)
        let_others_in(folder)
        for name in ("id", "sh", "touch"):
            (folder / name).symlink_to(shutil.which(name) or "")

    def make(self, name: str, code: int = 0) -> Path:
        """Makes a script with this name and exit code."""
        script = self.folder / name
        script.write_text(f'#!/bin/sh\necho {name} "$(id -u)" "$@" >> {self._log}\nexit {code}\n')
        script.chmod(0o755)
        return script

    def calls(self) -> list[list[str]]:
        """Returns name, user id and arguments of each call."""
        return [line.split() for line in self._log.read_text().splitlines()]


@pytest.fixture
def browsers(tmp_path: Path) -> Iterator[Browsers]:
    """Scripts for all text browsers, in a folder that can be the whole PATH."""
    (tmp_path / "bin").mkdir()
    browsers = Browsers(tmp_path / "bin")
    for name in TEXT_BROWSERS:
        browsers.make(name)
    yield browsers


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"BROWSER": "{bin}/w3m"},
        {"BROWSER": "{bin}/chosen"},
        {"DISPLAY": ":9"},  # but no graphical browser is installed
        {"DISPLAY": ":9", "BROWSER": "{bin}/w3m %s"},
        {"DISPLAY": "localhost:10.0", "BROWSER": "{bin}/chosen", **SSH},
        {"DISPLAY": ":9", "BROWSER": "{bin}/chosen", "SSH_TTY": "/dev/pts/3"},
        {"DISPLAY": ":9", "BROWSER": "/nowhere/browser"},
        {"DISPLAY": ":9", "BROWSER": "{bin}/failing"},
        {"DISPLAY": ":9", "BROWSER": "'"},
    ],
)
def test_no_browser_is_opened(environment: dict[str, str], browsers: Browsers, built: Path) -> None:
    browsers.make("chosen")
    browsers.make("failing", 3)
    given = {name: value.replace("{bin}", str(browsers.folder)) for name, value in environment.items()}
    with browsing(built, environment={"PATH": str(browsers.folder), "TERM": "xterm", **given}) as browse:
        assert browse.line.startswith(f"webpf: no browser here: open {browse.address}   (")
        assert [name for name, *_ in browsers.calls() if name != "failing"] == []
        assert browse.visitor()


@pytest.mark.parametrize("display", ["DISPLAY", "WAYLAND_DISPLAY"])
@pytest.mark.parametrize(
    "variable", ["{bin}/chosen", "{bin}/chosen %s", "{bin}/chosen %s &", "w3m:/nowhere/x:{bin}/chosen", "chosen:other"]
)
def test_the_browser_in_browser_variable(variable: str, display: str, browsers: Browsers, built: Path) -> None:
    browsers.make("chosen")
    browsers.make("other")
    browsers.make("xdg-open")
    given = {display: "x", "BROWSER": variable.replace("{bin}", str(browsers.folder))}
    with browsing(built, environment={"PATH": str(browsers.folder), **given}) as browse:
        assert browse.line == f"webpf: {browse.address}   (Ctrl-C ends)\n"
        assert browsers.calls() == [["chosen", str(os.getuid()), browse.address]]


@pytest.mark.parametrize("name", ["xdg-open", "x-www-browser", "firefox", "chromium"])
def test_the_default_browser(name: str, browsers: Browsers, built: Path) -> None:
    browsers.make(name)
    with browsing(built, environment={"PATH": str(browsers.folder), "DISPLAY": ":9", "TERM": "xterm"}) as browse:
        assert browsers.calls() == [[name, str(os.getuid()), browse.address]]


def test_a_browser_that_keeps_running(browsers: Browsers, built: Path) -> None:
    """webpf doesn't wait for it, and hides its output; the browser runs on when webpf has ended."""
    script = browsers.folder / "stays"
    stay = f"echo stays $$ >> {browsers.folder}/log; exec sleep 600"
    script.write_text(f"#!/bin/sh\necho noise; echo noise >&2; {stay}\n")
    script.chmod(0o755)
    with browsing(built, environment={"DISPLAY": ":9", "BROWSER": str(script)}) as browse:
        assert browse.line == f"webpf: {browse.address}   (Ctrl-C ends)\n"
        [[_, pid]] = browsers.calls()
    try:
        wait_until(lambda: browse.process.poll() is not None, "it doesn't end")
        assert Path(f"/proc/{pid}").exists()
        assert os.getsid(int(pid)) == int(pid)
    finally:
        os.kill(int(pid), 9)


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ("192.0.2.7 50000 198.51.100.4 22", "ssh -L {port}:127.0.0.1:{port} {user}@198.51.100.4"),
        ("192.0.2.7 50000 198.51.100.4 2222", "ssh -L {port}:127.0.0.1:{port} -p 2222 {user}@198.51.100.4"),
        ("2001:db8::7 50000 2001:db8::4 22", "ssh -L {port}:127.0.0.1:{port} {user}@2001:db8::4"),
        ("", "ssh -L {port}:127.0.0.1:{port} {user}@{host}"),
        ("nonsense", "ssh -L {port}:127.0.0.1:{port} {user}@{host}"),
        ("1 2 $(reboot) 22", "ssh -L {port}:127.0.0.1:{port} '{user}@$(reboot)'"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--no-open"]])
def test_the_tunnel_command(connection: str, expected: str, options: list[str], built: Path) -> None:
    """The output ends in a command that the user can paste on the own machine."""
    with browsing(built, *options, environment={"SSH_CONNECTION": connection}) as browse:
        line = browse.says().strip()
        user, host = getpass.getuser(), socket.gethostname()
        assert line.endswith(f": {expected.format(port=browse.port, user=user, host=host)}")
        assert shlex.split(line.partition("first there: ")[2])[:2] == ["ssh", "-L"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_sudo_uses_the_callers_browser(browsers: Browsers, built: Path) -> None:
    browsers.make("chosen")
    behind = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY), "SUDO_USER": "nobody"}
    with browsing(built, environment=behind | {"DISPLAY": ":9", "BROWSER": str(browsers.folder / "chosen")}) as browse:
        assert browsers.calls() == [["chosen", str(NOBODY), browse.address]]
    with browsing(built, environment=behind) as browse:
        assert f" {pwd.getpwuid(NOBODY).pw_name}@" in browse.says()


@pytest.mark.skipif(shutil.which("sudo") is None or os.geteuid() != 0, reason="no sudo, or not root")
@pytest.mark.parametrize("is_remote", [False, True])
def test_the_environment_before_sudo(is_remote: bool, browsers: Browsers, built: Path) -> None:
    """sudo removes BROWSER and SSH_CONNECTION, but they are in the environment of sudo's own process."""
    browsers.make("chosen")
    given = {"DISPLAY": ":9", "BROWSER": str(browsers.folder / "chosen")} | (SSH if is_remote else {})
    with browsing(built, before=["sudo"], environment=given) as browse:
        if is_remote:
            assert browsers.calls() == []
            assert browse.says().endswith("@198.51.100.4\n")
        else:
            assert browsers.calls() == [["chosen", "0", browse.address]]
