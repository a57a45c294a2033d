"""What a process did, in a few words that are the same for the same work: its command line, normalised. Pure.

Of a compiler which file it compiled, of an interpreter which script it ran; what a configure script only tries is one
thing. Temporary files, folders and options are left out.
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache

from . import argv as arguments
from .events import text

PROBE = "configure probe"

_SOURCE = re.compile(rb"\.(c|cc|cpp|cxx|c\+\+|m|mm|s|sx|f|f90|f95|rs|go|java|hs|ml|zig)$", re.IGNORECASE)
# Compilers, their drivers and linkers: what they work on says more than how.
_TOOLS = re.compile(
    r"(.*-)?(cc1|cc1plus|cc1obj|cc1objplus|f951|lto1|gcc|g\+\+|cc|c\+\+|cpp|gfortran|clang|clang\+\+|rustc|javac|ghc"
    r"|as|ar|ranlib|ld|ld\.bfd|ld\.gold|ld\.lld|lld|mold|collect2)(-[\d.]+)?"
)
_INTERPRETERS = re.compile(r"(python|pypy|perl|ruby|node|bash|dash|sh|zsh|ksh|guile|lua|php|Rscript)[\d.]*(-config)?")
# Of cc1, -MD and -MMD too, which of gcc take none; there what follows is no source.
_TAKE_A_FILE = {b"-o", b"-dumpbase", b"-dumpdir", b"-MD", b"-MMD", b"-MF", b"-MT", b"-MQ", b"-include", b"-imacros"}
# Options of interpreters that take the next word, which is no script then.
_OF_SHELLS = {b"-o", b"+o", b"-O", b"+O", b"--rcfile", b"--init-file"}
_OF_PYTHON = {b"-W", b"-X"}
_OF_OTHERS = {b"-r", b"-I"}
_TEST_RUNNERS = {"pytest", "py.test"}
_TEMPORARY = (b"conftest", b"cmTC_", b"/CMakeFiles/CMakeTmp/", b"/CMakeScratch/", b"confdefs.h")
_WORKER = b"exec(eval(sys.stdin.readline()))"  # how execnet, and so pytest-xdist, starts one
_LONGEST = 60


def of(argv: bytes | None, comm: str | None) -> str:
    """A label, from the arguments as the kernel had them; without arguments, the name."""
    label = _label_remembered(argv) if argv and len(argv) < 512 else _label(argv[: arguments.LONGEST]) if argv else ""
    return label or comm or "?"


def title(argv: bytes | None, line: str) -> str:
    """A command line to be shown where there is little room: a compiler's begins with what says least."""
    label = of(argv, None)
    compiler, _, file = label.partition(" ")
    return label if file and _TOOLS.fullmatch(compiler) else line


def _label(argv: bytes) -> str:
    words = arguments.split(argv)
    program = _name(words[0].lstrip(b"-"))
    if any(mark in word for word in words for mark in _TEMPORARY):
        return PROBE
    if _TOOLS.fullmatch(program):
        return f"{program} {_file(program, words)}".rstrip()
    if _INTERPRETERS.fullmatch(program):
        return "execnet worker" if any(_WORKER in word for word in words) else _interpreted(program, words)
    return "pytest" if program in _TEST_RUNNERS else program


def _file(program: str, words: list[bytes]) -> str:
    """What is compiled, or else made."""
    pairs = list(itertools.pairwise(words))
    sources = [word for before, word in pairs if _is_source(before, word)]
    if sources:
        return _name(sources[0])
    made = [word for before, word in pairs if before == b"-o"] or [word for word in words if word.endswith(b".a")]
    # What cc1 and as make without a source is a temporary file.
    if made and not program.startswith(("cc1", "as")):
        return f"-o {_name(made[0])}"
    return "-" if b"-" in words else ""  # what it is given on stdin


_label_remembered = lru_cache(maxsize=8192)(_label)


def _is_source(before: bytes, word: bytes) -> bool:
    return bool(_SOURCE.search(word)) and before not in _TAKE_A_FILE and not word.startswith(b"/tmp/")


def _interpreted(program: str, words: list[bytes]) -> str:
    """The script, module or first command that an interpreter runs."""
    take_a_word = _OF_SHELLS if program.endswith("sh") else _OF_PYTHON if program.startswith("py") else _OF_OTHERS
    rest = iter(words[1:])
    for word in rest:
        if word in take_a_word:
            next(rest, None)
            continue
        if word == b"-m":
            return _runner(_name(next(rest, b"?")), f"{program} -m")
        if word == b"-c" or (word.startswith(b"-") and word.endswith(b"c") and program.endswith("sh")):
            return f"{program} -c {_first_word(next(rest, b''))}".rstrip()
        if word == b"-e":
            return f"{program} -e"
        if not word.startswith(b"-"):
            return _runner(_name(word), program)
    return program


def _runner(name: str, interpreter: str) -> str:
    return "pytest" if name in _TEST_RUNNERS else f"{interpreter} {name}"


def _first_word(script: bytes) -> str:
    """Of a line for a shell: what it runs first; of a line of another language: its beginning."""
    words = script.split()
    return _name(words[0]) if words else ""


def _name(path: bytes) -> str:
    """The last part of a path."""
    name = text(path.rstrip(b"/").rpartition(b"/")[2] or path)
    return name if len(name) <= _LONGEST else name[: _LONGEST - 3] + "..."
