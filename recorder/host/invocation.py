"""How webpf was called, and commands for hints that call it in the same way."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from pathlib import Path

from ..model import argv


def sudo_command(arguments: list[str] | None = None) -> str:
    """Returns the command that calls webpf as root, with these arguments or the ones of now.

    It has the full path, since sudo's PATH lacks the folders of users.
    """
    called = program(str(Path(sys.argv[0]).absolute()))
    return shlex.join(["sudo", *called, *(sys.argv[1:] if arguments is None else arguments)])


def as_user(user: str) -> str:
    """Returns the command line of this process as another user, as a hint."""
    called = program(str(Path(sys.argv[0]).absolute()))
    return shlex.join(["sudo", "-u", user, *called, *sys.argv[1:]])


def adapt_hint(hint: str) -> str:
    """Replaces `webpf` at the start of a hint by how webpf was called, so that the user can paste the hint."""
    if hint.startswith("sudo webpf "):
        return sudo_command([]) + hint[len("sudo webpf") :]
    found = shutil.which("webpf")
    if not hint.startswith("webpf ") or (found is not None and Path(found) == Path(sys.argv[0])):
        return hint
    return shlex.join(program(sys.argv[0])) + hint[len("webpf") :]


def pip_install(*packages: str) -> str:
    """Returns the command that installs packages for the Python that runs webpf.

    Don't pass "webpf": a package of that name on a package index may be another project.
    """
    if importlib.util.find_spec("pip") is None:  # for instance, if uv made the environment
        return shlex.join(["uv", "pip", "install", "--python", sys.executable, *packages])
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])


def retry_with(option: str, value: str) -> str:
    """Returns the command line of this process with another value for an option, as a hint.

    option: a long one, as `--db`. A `--force` is left out: what may be overwritten at one path may not be at another.
    """
    words, after = sys.argv[1:], []
    if "--" in words:
        after = words[words.index("--") :]
        words = words[: words.index("--")]
    kept = [word for before, word in zip(["", *words], words, strict=False) if option not in (before, word)]
    kept = [word for word in kept if not word.startswith(f"{option}=") and word != "--force"]
    return " ".join(map(argv.word, ["webpf", *kept, option, value, *after]))


def retry_at_home(option: str, path: Path) -> str:
    """Returns the command line of this process with a file of the same name in the caller's home folder."""
    return retry_with(option, str(Path(os.path.expanduser("~")) / path.name))  # noqa: PTH111 - Path's needs a home


def update_hint() -> str:
    """Returns the command that updates webpf if it runs from a git clone; else an empty string."""
    clone = Path(__file__).resolve().parents[2]
    return shlex.join(["git", "-C", str(clone), "pull"]) if (clone / ".git").exists() else ""


def called_command() -> str:
    """Returns `webpf COMMAND` for the command that was called; `webpf` if none was."""
    name = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    return f"webpf {name}" if name.replace("-", "").isalpha() else "webpf"


def program(path: str) -> list[str]:
    """Returns the words that call webpf: its path or name, or python -m webpf."""
    return [sys.executable, "-m", "webpf"] if Path(path).name == "__main__.py" else [path]


def is_series(words: list[str]) -> bool:
    """Returns whether `webpf record` with these words seems to be for a series, which calls webpf for each of its runs.

    `--runs` can also be a word of the command to record. `record` finds that out when it parses the words.
    """
    own = words[: words.index("--")] if "--" in words else words
    names = {word.partition("=")[0] for word in own}
    return "--runs" in names and "--run-of" not in names
