"""Runs `webpf browse` during a test, and visits it with urllib as a browser would."""

from __future__ import annotations

import http.cookiejar
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sites import PYTHONS
from support import DEADLINE_SECONDS

NO_DESKTOP = dict.fromkeys(
    ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "SUDO_UID", "SUDO_GID"), ""
)


class Visitor:
    """A browser with its own cookies."""

    def __init__(self) -> None:
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def get(self, address: str, **headers: str) -> tuple[int, str, str]:
        """Returns the status, the text, and the final address."""
        request = urllib.request.Request(address, headers=headers)
        try:
            with self._opener.open(request, timeout=DEADLINE_SECONDS) as answer:
                return answer.status, answer.read().decode(), answer.url
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.url


class Browse:
    """A running `webpf browse`.

    line: its first line of output. address: the address that lets one browser in. site: the address without a path.
    """

    def __init__(self, process: subprocess.Popen[str], line: str) -> None:
        self.process = process
        self.line = line
        found = re.search(r"(http://127\.0\.0\.1:(\d+))/\S+", line)
        assert found, line + (process.stderr.read() if process.stderr else "")
        self.address, self.site, self.port = found[0], found[1], int(found[2])

    def visitor(self) -> Visitor:
        """Returns a visitor that has opened the address."""
        visitor = Visitor()
        status, text, _ = visitor.get(self.address)
        assert status == 200, text
        return visitor

    def says(self) -> str:
        """Returns its next line of output."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()


@contextmanager
def browsing(
    db: Path | str,
    *options: str,
    version: str = "0.65",
    cwd: Path | None = None,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Browse]:
    """Runs `webpf browse` within the block, by default without a display. before: words of a command that runs it."""
    if not PYTHONS[version].exists():
        pytest.skip(f"there is no Datasette {version}: make test installs it")
    command = [*before, str(PYTHONS[version]), "-m", "webpf", "browse", str(db), *options]
    variables = os.environ | NO_DESKTOP | dict(environment or {})
    with subprocess.Popen(
        command, env=variables, cwd=cwd, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            yield Browse(process, process.stderr.readline())
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)
