"""What `webpf extract` does to the texts of a recording: nothing, or --redact and --no-args. Pure."""

from __future__ import annotations

import re
from typing import Any

from .environment import Variable
from .redaction import HIDDEN, Redaction

_COMM_BYTES = 15
_ESCAPED = re.compile(r"(?:\\x[0-9a-f]{2})+")  # in names of systemd units, see systemd-escape(1)


def name_of(path: str) -> str:
    """Returns the last part of a path."""
    return path.rpartition("/")[2]


def comm_of(name: str) -> str:
    """Returns the name that the kernel gives a process that runs a file with this name."""
    return name.encode("utf-8", "surrogateescape")[:_COMM_BYTES].decode("utf-8", "backslashreplace")


class Rewriting:
    """Leaves all values as they are. Its methods are for one kind of value each, and are called for each row."""

    hides_names = False
    """Whether names of processes are hidden, so that raw events, which repeat them, are left out."""

    def text(self, text: str) -> str:
        """Returns free text."""
        return text

    def path(self, path: str) -> str:
        """Returns a path, or a part of one. It may have any bytes (surrogateescape)."""
        return path

    def learn(self, filename: str) -> None:
        """Takes note of a file that is executed. This comes before everything else."""

    def comm(self, comm: str) -> str:
        """Returns the name of a process."""
        return comm

    def argv(self, argv: bytes, argv_bytes: int) -> tuple[bytes | None, int]:
        """Returns arguments and their length before they were cut."""
        return argv, argv_bytes

    def words(self, words: list[str]) -> list[str]:
        """Returns the recorder's own command line."""
        return words

    def variable(self, variable: Variable) -> Variable:
        """Returns an environment variable."""
        return variable

    def json(self, value: Any) -> Any:
        """Returns what the options of a recording say."""
        return value

    def host(self, host: str) -> str:
        """Returns the name of a machine."""
        return self.text(host)

    def zone(self, zone: str) -> str | None:
        """Returns a time zone."""
        return zone

    def id(self, id: str) -> str:
        """Returns the id of a machine, boot, container or pod."""
        return self.text(id)

    def uid(self, uid: int) -> int:
        """Returns the id of a user."""
        return uid


class Redacting(Rewriting):
    """Hides what patterns match, or all arguments."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self.hides_names = redaction.hides_text
        self._hidden_names: set[str] = set()

    def text(self, text: str) -> str:
        return self._redaction.text(text)

    def path(self, path: str) -> str:
        """Hides also a part of the path in which a pattern matches only without systemd's escapes."""
        parts = self.text(path).split("/")
        return "/".join(HIDDEN if self._is_secret(_without_escapes(part)) else part for part in parts)

    def learn(self, filename: str) -> None:
        name = name_of(filename)
        if self._is_secret(name):
            self._hidden_names.add(comm_of(name))

    def comm(self, comm: str) -> str:
        """Hides also the first 15 bytes of a file name that is hidden."""
        return HIDDEN if comm in self._hidden_names else self.text(comm)

    def argv(self, argv: bytes, argv_bytes: int) -> tuple[bytes | None, int]:
        if self._redaction.no_args:
            return None, argv_bytes
        return self._redaction.argv(argv, argv_bytes)

    def words(self, words: list[str]) -> list[str]:
        return self._redaction.command(words)

    def variable(self, variable: Variable) -> Variable:
        return self._redaction.redact_variable(variable)

    def json(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.text(key): self.json(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.json(each) for each in value]
        return self.text(value) if isinstance(value, str) else value

    def _is_secret(self, text: str) -> bool:
        return self.text(text) != text


def _without_escapes(part: str) -> str:
    def raw(match: re.Match[str]) -> str:
        return bytes.fromhex(match[0].replace("\\x", "")).decode("utf-8", "surrogateescape")

    return _ESCAPED.sub(raw, part)
