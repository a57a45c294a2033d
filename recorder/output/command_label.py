"""What a process is called in reports: by its program, by what it did, by its command line. Pure.

All three are made of the arguments as the kernel had them, never of a line that is quoted already. Of a compiler the
label says which file it compiled, of an interpreter which script it ran; what a configure script only tries is one
thing. Temporary files, folders and options are left out.
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import NamedTuple

from ..model import argv as arguments
from .escape import safe
from .launchers import is_written, loaded, loaded_name, name_of, unwrapped

PROBE = "configure probe"

_SOURCE = re.compile(rb"\.(c|cc|cpp|cxx|c\+\+|m|mm|s|sx|f|f90|f95|rs|go|java|hs|ml|zig)$", re.IGNORECASE)
# Compilers, their drivers and linkers: what they work on says more than how.
_TOOLS = re.compile(
    r"(.*-)?(cc1|cc1plus|cc1obj|cc1objplus|f951|lto1|gcc|g\+\+|cc|c\+\+|cpp|gfortran|clang|clang\+\+|rustc|javac|ghc"
    r"|as|ar|ranlib|ld|ld\.bfd|ld\.gold|ld\.lld|lld|mold|collect2)(-[\d.]+)?"
)
_INTERPRETERS = re.compile(
    r"(python|pypy|perl|ruby|node|bash|rbash|dash|ash|sh|zsh|ksh|mksh|csh|tcsh|fish|guile|lua|php|Rscript)"
    r"[\d.]*(-config)?"
)
# Of cc1, -MD and -MMD too, which of gcc take none; there what follows is no source.
_TAKE_A_FILE = {b"-o", b"-dumpbase", b"-dumpdir", b"-MD", b"-MMD", b"-MF", b"-MT", b"-MQ", b"-include", b"-imacros"}
# Options of interpreters that take the next word, which is no script then.
_OF_SHELLS = re.compile(rb"[-+][A-Za-z]*[oO]|--rcfile|--init-file")
_OF_PYTHON = re.compile(rb"-[A-Za-z]*[WX]|--check-hash-based-pycs")
_OF_OTHERS = re.compile(rb"-[rI]")
# Options after which a script is given as text.
_SHELL_TEXT = re.compile(rb"-[A-Za-z]*c[A-Za-z]*")
_PYTHON_TEXT = re.compile(rb"-[A-Za-z]*c")
_OTHER_TEXT = re.compile(rb"-[A-Za-z0-9]*[eE]")
_MODULE = re.compile(rb"-[A-Za-z]*m")
_TEST_RUNNERS = {"pytest", "py.test"}
_TEMPORARY = (b"conftest", b"cmTC_", b"/CMakeFiles/CMakeTmp/", b"/CMakeScratch/", b"confdefs.h")
_WORKER = b"exec(eval(sys.stdin.readline()))"  # how execnet, and so pytest-xdist, starts one

# A word of a shell's script with its quotes, or a comment; and what is within quotes.
_WORD = re.compile(rb"""#[^\n]*|(?:[^\s'"\\;&|()<>]|\\.|'[^']*'?|"(?:[^"\\]|\\.)*"?)+""", re.DOTALL)
_QUOTED = re.compile(rb"""'([^']*)'?|"((?:[^"\\]|\\.)*)"?|\\(.)""", re.DOTALL)
_VARIABLE = re.compile(rb"[A-Za-z_]\w*\+?=")

_LINE_BYTES = 4096  # of argv, from which a line is made
_REMEMBERED_BYTES, _REMEMBERED = 512, 4096


class _Names(NamedTuple):
    """Of a command line. Without a program, line is what comes after its name. file: a compiler's label."""

    program: str
    activity: str
    line: str
    file: str = ""


def of(argv: bytes | None, comm: str | None) -> str:
    """What a process did, in a few words that are the same for the same work. Without arguments, its name."""
    return _names(argv).activity or _fallback(comm)


def program(argv: bytes | None, comm: str | None) -> str:
    """The name of its program, without folders; of an interpreter or launcher, with what it runs."""
    return _names(argv).program or _fallback(comm)


def line(argv: bytes | None, comm: str | None) -> str:
    """Its command line, quoted for a shell, without the folders of its program.

    One line without control characters, made of the first 4 KiB of the arguments.
    """
    return _line(_names(argv), comm)


def title(argv: bytes | None, comm: str | None) -> str:
    """The same for where there is little room: of a compiler the label, for its line begins with what says least."""
    names = _names(argv)
    return names.file or _line(names, comm)


def name(argv: bytes | None, comm: str | None) -> str:
    """The kernel's name for a process, as it is; for the dynamic loader, the program that it runs."""
    loaded_one = loaded_name(argv) if comm and comm.startswith("ld") else ""
    return loaded_one or (comm if comm and comm.strip() else "?")


def cut(text: str, width: int | None) -> str:
    """A text cut to so many characters."""
    return text if width is None or len(text) <= width else text[: max(width - 3, 1)] + "..."


def _line(names: _Names, comm: str | None) -> str:
    return names.line if names.program else _fallback(comm) + names.line


def _fallback(comm: str | None) -> str:
    return safe(comm) if comm and comm.strip() else "?"


def _names(argv: bytes | None) -> _Names:
    if not argv:
        return _Names("", "", "")
    argv = argv[: arguments.LONGEST]
    return _names_remembered(argv) if len(argv) <= _REMEMBERED_BYTES else _find_names(argv)


def _find_names(argv: bytes) -> _Names:
    words = loaded(arguments.split(argv))
    if not name_of(words[0]).strip():
        return _Names("", "", _quoted(words[1:], argv, " "))
    launchers, command = unwrapped(words)
    called = name_of(command[0].lstrip(b"-") or command[0])
    label = _label(called, command, is_cut=not argv.endswith(b"\0") and len(command) > 1)
    is_probe = any(mark in word for word in words for mark in _TEMPORARY)
    # Compilers are named after their files where one looks at them, not where they are counted.
    is_tool = _TOOLS.fullmatch(called) is not None
    return _Names(
        _joined(launchers, called if is_tool else label),
        PROBE if is_probe else _joined(launchers, label),
        _quoted([_shown(words[0]), *words[1:]], argv),
        _joined(launchers, label) if is_tool and label != called and not is_probe else "",
    )


_names_remembered = lru_cache(maxsize=_REMEMBERED)(_find_names)


def _joined(launchers: list[str], label: str) -> str:
    return safe(" ".join([*launchers, label]))


def _shown(word: bytes) -> bytes:
    """The first word of a title: the program without its folders; a title that the process wrote, as it is."""
    return word if is_written(word) else word.rstrip(b"/").rpartition(b"/")[2] or word


def _quoted(words: list[bytes], argv: bytes, before: str = "") -> str:
    """Words for a shell, as many as a line has room for; says so where some are missing, here or in argv."""
    raw = b"".join(word + b"\0" for word in words)
    kept = raw[:_LINE_BYTES]
    is_cut = len(kept) < len(raw) or (len(words) > 1 and not argv.endswith(b"\0"))
    return (before + arguments.quote(kept, len(kept)) if kept else "") + (" ..." if is_cut else "")


def _label(name: str, words: list[bytes], is_cut: bool) -> str:
    """What a program was called to do. is_cut: the last of the words may be half of one."""
    if _TOOLS.fullmatch(name):
        return f"{name} {_file(name, words[:-1] if is_cut else words)}".rstrip()
    if _INTERPRETERS.fullmatch(name):
        return "execnet worker" if any(_WORKER in word for word in words) else _interpreted(name, words)
    return "pytest" if name in _TEST_RUNNERS else name if name.strip() else repr(name)


def _file(name: str, words: list[bytes]) -> str:
    """What is compiled, or else made."""
    pairs = list(itertools.pairwise(words))
    sources = [word for before, word in pairs if _is_source(before, word)]
    if sources:
        return name_of(sources[0])
    made = [word for before, word in pairs if before == b"-o"] or [word for word in words if word.endswith(b".a")]
    # What cc1 and as make without a source is a temporary file.
    if made and not name.startswith(("cc1", "as")):
        return f"-o {name_of(made[0])}"
    return "-" if b"-" in words else ""  # what it is given on stdin


def _is_source(before: bytes, word: bytes) -> bool:
    return bool(_SOURCE.search(word)) and before not in _TAKE_A_FILE and not word.startswith(b"/tmp/")


def _interpreted(name: str, words: list[bytes]) -> str:
    """The script, module or first command that an interpreter runs."""
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
    """The begin of a text in another language than a shell's."""
    words = script.split(None, 1)
    return name_of(words[0]) if words else ""


def _first_command(script: bytes) -> str:
    """What a shell's script runs first, by its quotes; not what it assigns."""
    for match in _WORD.finditer(script[:_LINE_BYTES]):
        word = match[0]
        if not word.startswith(b"#") and not _VARIABLE.match(word):
            return name_of(_QUOTED.sub(lambda quoted: quoted[1] or quoted[2] or quoted[3] or b"", word))
    return ""
