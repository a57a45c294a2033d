"""How webpf was called, and so how it can be called again."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from pathlib import Path

from ..model import argv


def sudo_command(arguments: list[str] | None = None) -> str:
    """This very call as root, or one with other arguments. By full path: sudo's own PATH lacks a user's folders."""
    called = program(str(Path(sys.argv[0]).absolute()))
    return shlex.join(["sudo", *called, *(sys.argv[1:] if arguments is None else arguments)])


def as_called(hint: str) -> str:
    """A command that begins with webpf, so that it works in the shell from which webpf was called now."""
    if hint.startswith("sudo webpf "):
        return sudo_command([]) + hint[len("sudo webpf") :]
    found = shutil.which("webpf")
    if not hint.startswith("webpf ") or (found is not None and Path(found) == Path(sys.argv[0])):
        return hint
    return shlex.join(program(sys.argv[0])) + hint[len("webpf") :]


def pip_install(*packages: str) -> str:
    """The command that installs packages for the Python that runs webpf.

    A package that is called webpf on a package index may be a stranger's.
    """
    if importlib.util.find_spec("pip") is None:  # as where uv made the environment
        return shlex.join(["uv", "pip", "install", "--python", sys.executable, *packages])
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])


def again_with(option: str, value: str) -> str:
    """This very call with another value of an option, to be shown as a hint. Short options have one letter."""
    words, after = sys.argv[1:], []
    if "--" in words:
        after = words[words.index("--") :]
        words = words[: words.index("--")]
    kept = [word for before, word in zip(["", *words], words, strict=False) if option not in (before, word)]
    # What may be replaced in one place may not be in another.
    kept = [word for word in kept if not word.startswith(f"{option}=") and word != "--force"]
    return " ".join(map(argv.word, ["webpf", *kept, option, value, *after]))


def elsewhere(option: str, path: Path) -> str:
    """This very call, with a file of this name in the caller's own folder."""
    return again_with(option, str(Path(os.path.expanduser("~")) / path.name))  # noqa: PTH111 - Path's needs a home


def update_hint() -> str:
    """The command that brings a newer webpf, where it runs from a clone; '' elsewhere."""
    clone = Path(__file__).resolve().parents[2]
    return shlex.join(["git", "-C", str(clone), "pull"]) if (clone / ".git").exists() else ""


def program(path: str) -> list[str]:
    """How webpf was called: by path, by name, or as a module."""
    return [sys.executable, "-m", "webpf"] if Path(path).name == "__main__.py" else [path]
