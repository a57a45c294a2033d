"""`webpf extract --anonymize`: users, hosts, paths and arguments become numbers, equal texts equal ones. Pure.

What every machine has stays: programs of the distribution, root, and the slices of systemd.
"""

from __future__ import annotations

import re
from typing import Any

from . import argv as arguments
from .environment import Variable
from .rewriting import Rewriting, comm_of, name_of

_SYSTEM = re.compile(r"/(?:usr/(?:bin|sbin|lib\w*|libexec)|s?bin|lib\w*)/[\w.+@-]+(?:/[\w.+@-]+)*", re.ASCII)
_KNOWN_PARTS = re.compile(r"(?:system|user|machine|init|kubepods)\.(?:slice|scope)|session\.slice|app\.slice|kubepods")
_TYPES = re.compile(r"\.(?:service|scope|slice|socket|mount|swap)\Z")
_OPTION = re.compile(r"[a-z_]+")
_FIRST_UID, _NOBODY = 1000, 65534


class Anonymizing(Rewriting):
    """Replaces what could say who and where it was. removes_args: arguments are removed instead."""

    hides_names = True

    def __init__(self, removes_args: bool = False) -> None:
        self._removes_args = removes_args
        self._numbers: dict[str, dict[str, int]] = {}
        self._uids: dict[int, int] = {0: 0, _NOBODY: _NOBODY}
        self._known_names: set[str] = set()

    def _number(self, kind: str, text: str) -> str:
        """Returns the text that stands for another: a letter for its kind, and a number."""
        known = self._numbers.setdefault(kind, {})
        return f"{kind}{known.setdefault(text, len(known) + 1)}" if text else ""

    def text(self, text: str) -> str:
        return self._number("t", text)

    def learn(self, filename: str) -> None:
        if _SYSTEM.fullmatch(filename):
            self._known_names.add(comm_of(name_of(filename)))

    def path(self, path: str) -> str:
        return path if _SYSTEM.fullmatch(path) else "/".join(map(self._part, path.split("/")))

    def _part(self, part: str) -> str:
        if _KNOWN_PARTS.fullmatch(part):
            return part
        found = _TYPES.search(part)
        return self._number("d", part) + (found[0] if found else "")

    def comm(self, comm: str) -> str:
        return comm if comm in self._known_names else self._number("p", comm)

    def argv(self, argv: bytes, argv_bytes: int) -> tuple[bytes | None, int]:
        if self._removes_args:
            return None, argv_bytes
        words = [part.decode("utf-8", "surrogateescape") for part in arguments.split(argv)]
        if not words:
            return argv, argv_bytes
        replaced = [self._program(words[0]), *(self._number("a", word) for word in words[1:])]
        new = b"\0".join(word.encode("utf-8", "surrogateescape") for word in replaced) + b"\0" * argv.endswith(b"\0")
        return new, len(new) + max(argv_bytes - len(argv), 0)

    def _program(self, word: str) -> str:
        return word if comm_of(word) in self._known_names else self.path(word)

    def words(self, words: list[str]) -> list[str]:
        return ["webpf", "record"]

    def variable(self, variable: Variable) -> Variable:
        value = (
            variable.value.decode("utf-8", "surrogateescape") if isinstance(variable.value, bytes) else variable.value
        )
        return variable._replace(value=None if value is None else self._number("v", value))

    def json(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._key(key): each if key == "events" else self.json(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.json(each) for each in value]
        return self.text(value) if isinstance(value, str) else value

    def _key(self, key: str) -> str:
        """Returns the name of an option as it is, and any other text as a number."""
        return key if _OPTION.fullmatch(key) else self.text(key)

    def host(self, host: str) -> str:
        return self._number("host", host)

    def zone(self, zone: str) -> None:
        return None

    def id(self, id: str) -> str:
        return self._number("i", id)

    def uid(self, uid: int) -> int:
        return self._uids.setdefault(uid, _FIRST_UID + len(self._uids) - 2)
