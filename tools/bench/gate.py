"""Gates ten made-up pull requests of a real project with the shell of docs/ci.md. Prints a Markdown table.

    sudo python -m tools.bench.gate [--equal 5] [--slower 5] [--no-load]

The project is the library of Zstandard, which make builds with -j2 and without optimization. An equal pull request
changes a comment. A slower one also compiles some files a second time, which take a fifth of the time of a build. The
load of tools.bench.noise runs beside it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from tools.bench.command import webpf
from tools.bench.noise import load
from tools.builds.projects import PROJECTS
from tools.cache import PROJECT, run

SHARE = 0.2
_BUILD = "-s -C lib libzstd.a MOREFLAGS=-O0"
_MAKEFILE = f"""all: build {{extra}}
build:
\t$(MAKE) {_BUILD}
extra:
\tfor file in {{files}}; do cc -O0 -Ilib -w -c $$file -o /dev/null || exit 1; done
clean:
\t$(MAKE) -s -C lib clean
.PHONY: all build extra clean
"""
_VERDICTS = {0: "passed", 1: "failed"}


def gate() -> str:
    """Returns the plain shell of docs/ci.md."""
    page = (PROJECT / "docs" / "ci.md").read_text(encoding="utf-8")
    found = re.search(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def git(folder: Path, *words: str) -> None:
    """Runs git in a folder."""
    run("git", "-C", folder, "-c", "user.name=webpf", "-c", "user.email=webpf@example.com", *words)


def write_makefile(folder: Path, files: list[str]) -> None:
    """Writes the project's Makefile. files: those to compile a second time."""
    text = _MAKEFILE.format(extra="extra" if files else "", files=" ".join(files))
    (folder / "Makefile").write_text(text)


def cpu_seconds(folder: Path, *command: str) -> float:
    """Returns the CPU time that a command and its descendants take."""
    before = os.times()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def files_for(folder: Path) -> list[str]:
    """Returns files that take SHARE of the CPU time of a build, as nearly as that can be had."""
    wanted = SHARE * cpu_seconds(folder, "make", *_BUILD.split())
    found: list[str] = []
    for file in sorted(map(str, (folder / "lib" / "decompress").glob("*.c"))) * 9:
        taken = cpu_seconds(folder, "cc", "-O0", "-Ilib", "-w", "-c", file, "-o", "/dev/null")
        if taken / 2 > wanted:
            break
        wanted -= taken
        found.append(str(Path(file).relative_to(folder)))
    return found


def make_project(folder: Path) -> tuple[Path, list[str]]:
    """Returns a git repository with the project as its branch main, and the files that a slower build adds."""
    (project,) = (each for each in PROJECTS if each.name == "failing")
    origin = folder / "origin"
    origin.mkdir()
    run("tar", "-C", origin, "--strip-components=1", "--no-same-owner", "-xf", project.archive())
    files = files_for(origin)
    run("make", "-s", "-C", origin / "lib", "clean")
    write_makefile(origin, [])
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "base")
    return origin, files


def judge(origin: Path, folder: Path, files: list[str]) -> tuple[str, str]:
    """Gates a pull request. Returns the verdict, and the rows of wall and CPU time of its comparison."""
    folder.mkdir()
    clone = folder / "clone"
    git(folder, "clone", "-q", str(origin), "clone")
    with (clone / "lib" / "zstd.h").open("a") as header:
        header.write("/* changed */\n")
    write_makefile(clone, files)
    path = f"{Path(webpf()).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", gate()], cwd=clone, env=os.environ | {"PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ended.returncode not in _VERDICTS:
        raise SystemExit(f"exit {ended.returncode}: {ended.stderr}")
    verdict = "can't tell" if "suffice to tell: not failed" in ended.stdout else _VERDICTS[ended.returncode]
    runs = re.search(r"(\d+) runs a side", ended.stderr)
    rows = [line.split("|")[-2].strip() for line in ended.stdout.splitlines() if re.match(r"\| (wall|CPU) ", line)]
    return verdict, " | ".join([runs[1] if runs else "?", *rows])


def main() -> None:
    """Gates as many pull requests as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--equal", type=int, default=5)
    parser.add_argument("--slower", type=int, default=5)
    parser.add_argument("--no-load", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="webpf-gate-") as name:
        origin, files = make_project(Path(name))
        print("| pull request | verdict | runs a side | wall: 95 % interval | CPU: 95 % interval | seconds |")
        print("|---|---|---:|---:|---:|---:|", flush=True)
        titles = ["equal"] * chosen.equal + ["20 % slower"] * chosen.slower
        for number, title in enumerate(titles, start=1):
            begun = time.monotonic()
            with load(not chosen.no_load, number):
                verdict, rows = judge(origin, Path(name) / str(number), files if title != "equal" else [])
            print(f"| {title} | {verdict} | {rows} | {time.monotonic() - begun:.0f} |", flush=True)


if __name__ == "__main__":
    main()
