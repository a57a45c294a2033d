"""Labels of processes in reports: the program, the activity (what it did), the command line. Pure.

All of them are made from argv as the kernel had it, never from a quoted line. The label of a compiler has the file
that it compiles, the label of an interpreter the script that it runs. All that a configure script compiles and runs as
a test has the same label. Labels have no temporary files, folders and options.
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import NamedTuple

from ..model import argv as arguments
from .escape import safe
from .launcher_arguments import is_title, loaded_program_name, name_of, split_launchers, without_loader

PROBE = "configure probe"

_SOURCE = re.compile(rb"\.(c|cc|cpp|cxx|c\+\+|m|mm|s|sx|f|f90|f95|rs|go|java|hs|ml|zig)$", re.IGNORECASE)
# Compilers, their drivers and linkers: the label has their file and no options.
_TOOLS = re.compile(
    r"(.*-)?(cc1|cc1plus|cc1obj|cc1objplus|f951|lto1|gcc|g\+\+|cc|c\+\+|cpp|gfortran|clang|clang\+\+|rustc|javac|ghc"
    r"|as|ar|ranlib|ld|ld\.bfd|ld\.gold|ld\.lld|lld|mold|collect2)(-[\d.]+)?"
)
_INTERPRETERS = re.compile(
    r"(python|pypy|perl|ruby|node|bash|rbash|dash|ash|sh|zsh|ksh|mksh|csh|tcsh|fish|guile|lua|php|Rscript)"
    r"[\d.]*(-config)?"
)
# For gcc, -MD and -MMD take no file, but for cc1 they do. In gcc's command lines no source file follows them.
_TAKE_A_FILE = {b"-o", b"-dumpbase", b"-dumpdir", b"-MD", b"-MMD", b"-MF", b"-MT", b"-MQ", b"-include", b"-imacros"}
# Options of interpreters that take the next word, so that it is not the script.
_OF_SHELLS = re.compile(rb"[-+][A-Za-z]*[oO]|--rcfile|--init-file")
_OF_PYTHON = re.compile(rb"-[A-Za-z]*[WX]|--check-hash-based-pycs")
_OF_OTHERS = re.compile(rb"-[rI]")
# Options that take the text of a script.
_SHELL_TEXT = re.compile(rb"-[A-Za-z]*c[A-Za-z]*")
_PYTHON_TEXT = re.compile(rb"-[A-Za-z]*c")
_OTHER_TEXT = re.compile(rb"-[A-Za-z0-9]*[eE]")
_MODULE = re.compile(rb"-[A-Za-z]*m")
_TEST_RUNNERS = {"pytest", "py.test"}
_TEMPORARY = (b"conftest", b"cmTC_", b"/CMakeFiles/CMakeTmp/", b"/CMakeScratch/", b"confdefs.h")
_WORKER = b"exec(eval(sys.stdin.readline()))"  # how execnet, and so pytest-xdist, starts one

# _WORD: a word of a shell script with its quotes, or a comment. _QUOTED: a quoted part of a word.
_WORD = re.compile(rb"""#[^\n]*|(?:[^\s'"\\;&|()<>]|\\.|'[^']*'?|"(?:[^"\\]|\\.)*"?)+""", re.DOTALL)
_QUOTED = re.compile(rb"""'([^']*)'?|"((?:[^"\\]|\\.)*)"?|\\(.)""", re.DOTALL)
_VARIABLE = re.compile(rb"[A-Za-z_]\w*\+?=")

_LINE_BYTES = 4096  # of argv that a command line is made from
_MAX_CACHED_BYTES, _CACHE_SIZE = 512, 4096  # bytes of an argv, number of entries


class _Names(NamedTuple):
    """The labels of an argv. line: without the name, if program is empty. file: label of a compiler, else empty."""

    program: str
    activity: str
    line: str
    file: str = ""


def activity(argv: bytes | None, comm: str | None) -> str:
    """Returns what a process did, in a few words that are the same for the same activity; without argv, its name."""
    return _names(argv).activity or _fallback(comm)


def program(argv: bytes | None, comm: str | None) -> str:
    """Returns the name of its program without folders; for an interpreter or launcher also what it runs."""
    return _names(argv).program or _fallback(comm)


def command_line(argv: bytes | None, comm: str | None) -> str:
    """Returns its command line, quoted for a shell, without the folders of its program.

    It is one line without control characters, made from the first 4 KiB of argv.
    """
    return _line(_names(argv), comm)


def short_title(argv: bytes | None, comm: str | None) -> str:
    """Returns its command line for narrow places; for a compiler its label, since its first options say little."""
    names = _names(argv)
    return names.file or _line(names, comm)


def display_name(argv: bytes | None, comm: str | None) -> str:
    """Returns the kernel's name of a process, unescaped; for the dynamic loader, the program that it runs."""
    loaded_program = loaded_program_name(argv) if comm and comm.startswith("ld") else ""
    return loaded_program or (comm if comm and comm.strip() else "?")


def cut(text: str, width: int | None) -> str:
    """Returns the text, cut to `width` characters; None: uncut."""
    return text if width is None or len(text) <= width else text[: max(width - 3, 1)] + "..."


def _line(names: _Names, comm: str | None) -> str:
    return names.line if names.program else _fallback(comm) + names.line


def _fallback(comm: str | None) -> str:
    return safe(comm) if comm and comm.strip() else "?"


def _names(argv: bytes | None) -> _Names:
    if not argv:
        return _Names("", "", "")
    argv = argv[: arguments.MAX_ARGV_BYTES]
    return _cached_names(argv) if len(argv) <= _MAX_CACHED_BYTES else _find_names(argv)


def _find_names(argv: bytes) -> _Names:
    words = without_loader(arguments.split(argv))
    if not name_of(words[0]).strip():
        return _Names("", "", _quoted(words[1:], argv, " "))
    launchers, command = split_launchers(words)
    called = name_of(command[0].lstrip(b"-") or command[0])
    label = _label(called, command, is_cut=not argv.endswith(b"\0") and len(command) > 1)
    is_probe = any(mark in word for word in words for mark in _TEMPORARY)
    # Compilers have the name of their file where single processes are shown, but not where they are counted.
    is_tool = _TOOLS.fullmatch(called) is not None
    return _Names(
        _joined(launchers, called if is_tool else label),
        PROBE if is_probe else _joined(launchers, label),
        _quoted([_shown(words[0]), *words[1:]], argv),
        _joined(launchers, label) if is_tool and label != called and not is_probe else "",
    )


_cached_names = lru_cache(maxsize=_CACHE_SIZE)(_find_names)


def _joined(launchers: list[str], label: str) -> str:
    return safe(" ".join([*launchers, label]))


def _shown(word: bytes) -> bytes:
    """Returns the first word of a command line: the program without folders, or the title that the process wrote."""
    return word if is_title(word) else word.rstrip(b"/").rpartition(b"/")[2] or word


def _quoted(words: list[bytes], argv: bytes, before: str = "") -> str:
    """Quotes the words for a shell, up to _LINE_BYTES. It ends with ... if words are missing, here or in argv."""
    raw = b"".join(word + b"\0" for word in words)
    kept = raw[:_LINE_BYTES]
    is_cut = len(kept) < len(raw) or (len(words) > 1 and not argv.endswith(b"\0"))
    return (before + arguments.quote(kept, len(kept)) if kept else "") + (" ..." if is_cut else "")


def _label(name: str, words: list[bytes], is_cut: bool) -> str:
    """Returns the label of a command line. is_cut: whether argv was cut, so that the last word may be incomplete."""
    if _TOOLS.fullmatch(name):
        return f"{name} {_file(name, words[:-1] if is_cut else words)}".rstrip()
    if _INTERPRETERS.fullmatch(name):
        return "execnet worker" if any(_WORKER in word for word in words) else _interpreted(name, words)
    return "pytest" if name in _TEST_RUNNERS else name if name.strip() else repr(name)


def _file(name: str, words: list[bytes]) -> str:
    """Returns the source file of a compiler, or else its output file."""
    pairs = list(itertools.pairwise(words))
    sources = [word for before, word in pairs if _is_source(before, word)]
    if sources:
        return name_of(sources[0])
    outputs = [word for before, word in pairs if before == b"-o"] or [word for word in words if word.endswith(b".a")]
    # Without a source file, the output of cc1 and as is a temporary file.
    if outputs and not name.startswith(("cc1", "as")):
        return f"-o {name_of(outputs[0])}"
    return "-" if b"-" in words else ""  # stdin


def _is_source(before: bytes, word: bytes) -> bool:
    return bool(_SOURCE.search(word)) and before not in _TAKE_A_FILE and not word.startswith(b"/tmp/")


def _interpreted(name: str, words: list[bytes]) -> str:
    """Returns an interpreter with its script, module or first command."""
    is_shell, is_python = name.endswith("sh"), name.startswith("py")
    take_a_word = _OF_SHELLS if is_shell else _OF_PYTHON if is_python else _OF_OTHERS
    rest = iter(words[1:])
    for word in rest:
        if is_shell and _SHELL_TEXT.fullmatch(word):
            script = next((each for each in rest if not each.startswith(b"-")), b"")
            return f"{name} -c {_first_command(script)}".rstrip()
        if is_python and _PYTHON_TEXT.fullmatch(word):
            return f"{name} -c {_first_word(next(rest, b''))}".rstrip()
        if is_python and _MODULE.fullmatch(word):
            return _runner(name_of(next(rest, b"?")), f"{name} -m")
        if not (is_shell or is_python) and _OTHER_TEXT.fullmatch(word):
            return f"{name} -e"
        if take_a_word.fullmatch(word):
            next(rest, None)
        elif not word.startswith(b"-"):
            return _runner(name_of(word), name)
    return name


def _runner(name: str, interpreter: str) -> str:
    return "pytest" if name in _TEST_RUNNERS else f"{interpreter} {name}".rstrip()


def _first_word(script: bytes) -> str:
    """Returns the first word of a script that is not for a shell."""
    words = script.split(None, 1)
    return name_of(words[0]) if words else ""


def _first_command(script: bytes) -> str:
    """Returns the first command of a shell script, unquoted. Assignments and comments are skipped."""
    for match in _WORD.finditer(script[:_LINE_BYTES]):
        word = match[0]
        if not word.startswith(b"#") and not _VARIABLE.match(word):
            return name_of(_QUOTED.sub(lambda quoted: quoted[1] or quoted[2] or quoted[3] or b"", word))
    return ""
