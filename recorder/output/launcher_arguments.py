"""Finds the program that the command line of a launcher runs: of the dynamic loader, env, timeout, sudo ... Pure.

The dynamic loader becomes the program that it loads, so a label doesn't name it. Other launchers are named before the
program that they run. (Those that execute it themselves, as env and nice do, are in the recording with its arguments.)
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ..model.argv import MAX_ARGV_BYTES, split
from ..model.events import decode_escaped

_MAX_NAME = 60  # characters
_MAX_NESTED = 5  # launchers that run each other

# https://man7.org/linux/man-pages/man8/ld.so.8.html and musl's loader. With _NO_RUN it doesn't run the program.
_LOADER = re.compile(rb"ld[\w.-]*\.so(\.\d+)?")
_LOADER_OPTIONS = {
    *(b"--library-path", b"--inhibit-rpath", b"--audit", b"--preload", b"--argv0"),
    *(b"--glibc-hwcaps-prepend", b"--glibc-hwcaps-mask"),
}
_NO_RUN = {b"--list", b"--verify", b"--help", b"--version", b"--list-tunables", b"--list-diagnostics"}

# By name: the options that take the next word, and the number of arguments before the command.
_LAUNCHERS: dict[str, tuple[str, int]] = {
    "env": ("-u --unset -C --chdir -a --argv0", 0),
    "nice": ("-n --adjustment", 0),
    "ionice": ("-c --class -n --classdata", 0),
    "nohup": ("", 0),
    "setsid": ("", 0),
    "stdbuf": ("-i --input -o --output -e --error", 0),
    "time": ("-f --format -o --output", 0),
    "timeout": ("-s --signal -k --kill-after", 1),
    "chroot": ("", 1),
    "sudo": (
        "-u --user -g --group -C --close-from -D --chdir -h --host -p --prompt -R --chroot -r --role -t --type"
        " -T --command-timeout -U --other-user",
        0,
    ),
    "doas": ("-u -C -a", 0),
    "xargs": ("-a --arg-file -d --delimiter -E -I -L --max-lines -n --max-args -P --max-procs -s --max-chars", 0),
    "busybox": ("", 0),
    "toybox": ("", 0),
    "ccache": ("", 0),
    "sccache": ("", 0),
    "distcc": ("", 0),
}
_ASSIGNMENT = re.compile(rb"[^=/]+=")
_TAKE_A_WORD = {name: {word.encode() for word in words.split()} for name, (words, _) in _LAUNCHERS.items()}

# A title that setproctitle() wrote over the arguments, as `sshd: root@pts/0`. The text after the colon is not a path.
_WRITTEN = re.compile(rb"-?[^/\s:]+(?=: )")


def name_of(path: bytes) -> str:
    """Returns the last part of a path; for a title that a process wrote over it, the text before the colon.

    It has at most 60 characters, and is empty only for an empty path.
    """
    written = _WRITTEN.match(path)
    name = decode_escaped(written[0] if written else path.rstrip(b"/").rpartition(b"/")[2] or path)
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 3] + "..."


def is_title(word: bytes) -> bool:
    """Whether a word is a title that a process wrote over its arguments."""
    return _WRITTEN.match(word) is not None


def without_loader(words: list[bytes]) -> list[bytes]:
    """Returns the words without the dynamic loader and its options, if it runs a program."""
    for _ in range(_MAX_NESTED):
        if not _LOADER.fullmatch(words[0].rpartition(b"/")[2]):
            break
        program = _after_options(words, _LOADER_OPTIONS, _NO_RUN)
        if not program:
            break
        words = program
    return words


def loaded_program_name(argv: bytes | None) -> str:
    """Returns the name of the program that the dynamic loader runs; empty if argv is not the loader's."""
    words = split(argv[:MAX_ARGV_BYTES]) if argv else []
    program = without_loader(words) if words else words
    return name_of(program[0]) if program is not words else ""


def split_launchers(words: list[bytes]) -> tuple[list[str], list[bytes]]:
    """Returns the names of the launchers at the beginning, and the words of the command that the last one runs."""
    names: list[str] = []
    for _ in range(_MAX_NESTED):
        name = name_of(words[0])
        if name not in _LAUNCHERS:
            break
        rest = _command(name, words)
        if not rest:
            break
        names.append(name)
        words = without_loader(rest)
    return names, words


def _command(name: str, words: list[bytes]) -> list[bytes]:
    if name == "env":
        words = _split_strings(words)
    rest = _after_options(words, _TAKE_A_WORD[name], set())
    if name in ("env", "sudo"):
        assignments = next((number for number, word in enumerate(rest) if not _ASSIGNMENT.match(word)), len(rest))
        rest = rest[assignments:]
    return rest[_LAUNCHERS[name][1] :]


def _after_options(words: Sequence[bytes], take_a_word: set[bytes], stops: set[bytes]) -> list[bytes]:
    """Returns the words after the options of a command line; none if an option is in `stops`."""
    number = 1
    while number < len(words) and words[number].startswith(b"-"):
        word = words[number]
        if word in stops:
            return []
        number += 2 if word in take_a_word else 1
        if word == b"--":
            break
    return list(words[number:])


def _split_strings(words: list[bytes]) -> list[bytes]:
    """Splits the text after env's option -S into words. In a script's first line it is one word."""
    for number, word in enumerate(words[1:3], 1):
        for option in (b"--split-string=", b"--split-string", b"-vS", b"-S"):
            if not word.startswith(option):
                continue
            string = word.removeprefix(option)
            rest = words[number + 1 :]
            if not string and rest:
                string, rest = rest[0], rest[1:]
            return [*words[:number], *_split(string), *rest]
    return words


def _split(string: bytes) -> list[bytes]:
    try:
        words = shlex.split(string.decode("utf-8", "surrogateescape"))
    except ValueError:  # a quote is not closed
        return string.split()
    return [word.encode("utf-8", "surrogateescape") for word in words]
