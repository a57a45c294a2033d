"""The manual page docs/webpf.1 in the format of man(7), made from the commands' help and from errors.py."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable

from tools.cache import PROJECT
from tools.docs.command_line import Command, commands
from webpf import __version__, errors

_DESCRIPTION = (
    "webpf records each process that a Linux machine starts, with eBPF, into one SQLite file: its start, lifetime,"
    " arguments, exit code or signal, CPU time, peak memory and parent. Saved queries, reports and a timeline in the"
    " browser then answer what ran, for how long, and how it ended. Recording needs root, or the capabilities CAP_BPF"
    " and CAP_PERFMON; reading a recording needs neither."
)
_VARIABLES = {
    "WEBPF_DB": "The recording file, unless the command line names one. Default: webpf.db in the current folder.",
    "WEBPF_PROGRAM": "The file with the compiled BPF programs, unless --program names one. Ignored under sudo.",
    "XDG_CACHE_HOME": "The folder of the cache of users other than root. Default: ~/.cache.",
    "COLUMNS": "The width of tables and trees. Default: the width of the terminal.",
    "NO_COLOR": "If it is set and not empty, webpf writes no colours.",
    "BROWSER": "The program that browse opens its page with.",
    "SUDO_UID, SUDO_GID": "The user behind sudo(8). The recording file belongs to them, and a command runs as them.",
}
_FILES = {
    "webpf.db": "The recording file: SQLite, with one row for each process. docs/schema.md describes its tables.",
    "webpf.db-wal, webpf.db-shm": "SQLite's log of the recording file, while it is written.",
    "/var/cache/webpf": "The compiled BPF programs and the offsets of this kernel; ~/.cache/webpf for other users.",
    "/sys/kernel/btf/vmlinux": "The kernel's type information (BTF), with the offsets of its fields.",
}
_WIDTH = 78  # columns of the source
_SEE_ALSO = [("bpf", "2"), ("proc", "5"), ("ps", "1"), ("sqlite3", "1"), ("strace", "1"), ("sudo", "8")]


def page() -> str:
    """Returns docs/webpf.1. Its date is that of this version in the changelog, or none: it must not change daily."""
    itself, *rest = commands()
    return "\n".join(
        [
            '.\\" Made by `make docs` from the commands themselves: tools/docs/man_page.py.',
            f'.TH WEBPF 1 "{_date()}" "webpf {__version__}" "User Commands"',
            *(".SH NAME", "webpf \\- record every process of a Linux machine into SQLite"),
            *(".SH SYNOPSIS", "\n.br\n".join(_synopsis(command) for command in [itself, *rest])),
            *(".SH DESCRIPTION", _escaped(_DESCRIPTION)),
            *(".SH OPTIONS", *_list(itself.options)),
            *(".SH COMMANDS", *(line for command in rest for line in _section(command))),
            *(".SH EXIT STATUS", *_list((str(code), text) for code, text in exit_codes().items())),
            *(".SH ENVIRONMENT", *_list(_VARIABLES.items())),
            *(".SH FILES", *_list(_FILES.items())),
            *(".SH EXAMPLES", *(line for command in rest for line in _examples(command))),
            *(".SH SEE ALSO", " ,\n".join(f".BR {name} ({section})" for name, section in _SEE_ALSO)),
            "",
        ]
    )


def exit_codes() -> dict[int | str, str]:
    """Returns the exit codes in order, with their meanings from the docstrings of errors.py."""
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.WebpfError)]
    failures = {kind.exit_code: kind.__doc__ or "" for kind in kinds if "exit_code" in vars(kind)}
    failures[errors.WebpfError.exit_code] = "webpf itself failed: this is a defect."
    failures[os.EX_OSERR] = "The system has no more memory, processes or file descriptors for webpf."
    return {
        0: "Success.",
        1: "diff: a condition of --fail-if holds.",
        **dict(sorted(failures.items())),
        "128+N": "Signal N ended webpf.",
        "any": "With record -- COMMAND: the exit code of the command, whatever happens to the recording.",
    }


def variables() -> set[str]:
    """Returns the environment variables that the page lists."""
    return {name for names in _VARIABLES for name in names.split(", ")}


def _synopsis(command: Command) -> str:
    return f".B {_escaped(_full_name(command))}\n{_escaped(command.usage)}"


def _section(command: Command) -> list[str]:
    lines = [f".SS {_escaped(_full_name(command))} {_escaped(command.usage)}", _escaped(command.paragraphs[0])]
    for paragraph in command.paragraphs[1:]:
        lines += [".PP", _escaped(paragraph)]
    return [*lines, *_list([*command.arguments, *(each for each in command.options if each[0] != "-h, --help")])]


def _examples(command: Command) -> list[str]:
    if not command.examples:
        return []
    lines = [".TP", _escaped(command.paragraphs[0].removesuffix(".") + ":"), ".nf"]
    return [*lines, *map(_escaped, command.examples), ".fi"]


def _list(entries: Iterable[tuple[str, str]]) -> list[str]:
    """Returns a list of terms, each with its text indented below it."""
    return [line for term, text in entries for line in (".TP", f".B {_escaped(term)}", _escaped(text))]


def _full_name(command: Command) -> str:
    return f"webpf {command.name}".rstrip()


def _escaped(text: str) -> str:
    """Escapes text for roff. A dash becomes a minus sign, so that options can be copied."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    lines = textwrap.wrap(plain, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"\\&{line}" if line[0] in ".'" else line for line in lines)


def _date() -> str:
    changelog = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(__version__)}\D+(\d{{4}}-\d\d-\d\d)", changelog, re.MULTILINE)
    return found[1] if found else ""
