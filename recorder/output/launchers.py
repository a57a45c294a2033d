"""Programs that start another one: what their command lines run. Pure.

The dynamic loader becomes the program that it is given, so it isn't named at all. env, timeout or sudo are named before
what they run: where they replace themselves by it (as env and nice do), the recording has its arguments, not theirs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ..model.argv import LONGEST, split
from ..model.events import text

_LONGEST = 60  # characters of a name
_MOST = 5  # launchers, one within the other

# https://man7.org/linux/man-pages/man8/ld.so.8.html and musl's; with these it only tells about the program.
_LOADER = re.compile(rb"ld[\w.-]*\.so(\.\d+)?")
_OF_LOADER = {
    *(b"--library-path", b"--inhibit-rpath", b"--audit", b"--preload", b"--argv0"),
    *(b"--glibc-hwcaps-prepend", b"--glibc-hwcaps-mask"),
}
_ONLY_TELLS = {b"--list", b"--verify", b"--help", b"--version", b"--list-tunables", b"--list-diagnostics"}

# Their options that take the next word, and how many words of their own come before the command.
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
_TAKES = {name: {word.encode() for word in words.split()} for name, (words, _) in _LAUNCHERS.items()}

# As setproctitle() writes it over the arguments: `sshd: root@pts/0`. What follows is no path.
_WRITTEN = re.compile(rb"-?[^/\s:]+(?=: )")


def name_of(path: bytes) -> str:
    """The last part of a path; of a title that a process wrote over it, what is before the colon.

    At most 60 characters. Empty for an empty path only.
    """
    written = _WRITTEN.match(path)
    name = text(written[0] if written else path.rstrip(b"/").rpartition(b"/")[2] or path)
    return name if len(name) <= _LONGEST else name[: _LONGEST - 3] + "..."


def is_written(word: bytes) -> bool:
    """Whether a word is a title that a process wrote over its arguments."""
    return _WRITTEN.match(word) is not None


def loaded(words: list[bytes]) -> list[bytes]:
    """The words without the dynamic loader and its options, if it was called with a program to run."""
    for _ in range(_MOST):
        if not _LOADER.fullmatch(words[0].rpartition(b"/")[2]):
            break
        program = _after_options(words, _OF_LOADER, _ONLY_TELLS)
        if not program:
            break
        words = program
    return words


def loaded_name(argv: bytes | None) -> str:
    """The name of what the dynamic loader was called to run; empty if argv isn't the loader's."""
    words = split(argv[:LONGEST]) if argv else []
    program = loaded(words) if words else words
    return name_of(program[0]) if program is not words else ""


def unwrapped(words: list[bytes]) -> tuple[list[str], list[bytes]]:
    """Names of the launchers at the begin of a command line, and the words of what the last of them runs."""
    names: list[str] = []
    for _ in range(_MOST):
        name = name_of(words[0])
        if name not in _LAUNCHERS:
            break
        rest = _command(name, words)
        if not rest:
            break
        names.append(name)
        words = loaded(rest)
    return names, words


def _command(name: str, words: list[bytes]) -> list[bytes]:
    if name == "env":
        words = _split_strings(words)
    rest = _after_options(words, _TAKES[name], set())
    if name in ("env", "sudo"):
        assignments = next((number for number, word in enumerate(rest) if not _ASSIGNMENT.match(word)), len(rest))
        rest = rest[assignments:]
    return rest[_LAUNCHERS[name][1] :]


def _after_options(words: Sequence[bytes], take_a_word: set[bytes], stops: set[bytes]) -> list[bytes]:
    """What follows the options of a command line; nothing, if one of stops is among them."""
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
    """The words of env with the text after -S as words of their own; a script's first line gives it as one."""
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
    except ValueError:  # a quote without its end
        return string.split()
    return [word.encode("utf-8", "surrogateescape") for word in words]
