"""Five real builds of other projects. Their sources are fetched into the cache; each build there is a clean one.

configure   GNU findutils: configure, then make -j2   cmake      Mbed TLS: CMake, then Ninja
pytest      packaging's tests, with xdist             pipeline   a shell's, over all files of a source tree
failing     Zstandard's library, with a broken file: make -k -j2
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.cache import CACHE, run
from tools.mirror import fetch_source

FOLDER = CACHE / "builds"
_BASE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}


@dataclass(frozen=True)
class Project:
    """A build: its command, its folder, and its expected exit code."""

    name: str
    title: str
    command: tuple[str, ...]
    archive: Callable[[], Path]
    exit_code: int = 0
    breaks: str = ""  # a file that is changed so that it doesn't compile
    environment: Mapping[str, str] = field(default_factory=dict)
    adds: Mapping[str, str] = field(default_factory=dict)  # files to add: path and text

    @property
    def folder(self) -> Path:
        """The folder in which it is built."""
        return FOLDER / self.name

    def prepare(self) -> None:
        """Puts clean sources into the folder."""
        archive = self.archive()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        run(
            "tar",
            "--directory",
            self.folder,
            "--strip-components=1",
            "--no-same-owner",
            "--extract",
            f"--file={archive}",
        )
        for name, content in self.adds.items():
            (self.folder / name).write_text(content)
        if self.breaks:
            with (self.folder / self.breaks).open("a") as source:
                source.write("#error broken on purpose\n")

    def build(self, *recorder: str) -> None:
        """Builds it, under a recorder if one is given. Raises SystemExit if it ends with another exit code."""
        with (FOLDER / f"{self.name}.log").open("wb") as log:
            ended = subprocess.run(
                [*recorder, *self.command],
                cwd=self.folder,
                env=_BASE | dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if ended.returncode != self.exit_code:
            raise SystemExit(f"{self.name}: exit {ended.returncode}, expected {self.exit_code}: see {log.name}")


def _debian(package: str, version: str) -> Callable[[], Path]:
    """Returns a function that fetches the sources of a Debian package, in the version of bookworm."""

    def archive() -> Path:
        folder = FOLDER / "sources" / package
        there = [file for file in folder.glob("*.orig.tar.*") if not file.name.endswith(".asc")]
        return there[0] if there else fetch_source(package, version, folder)

    return archive


def _python(package: str, version: str) -> Callable[[], Path]:
    """Returns a function that fetches the sources of a Python package, and what its tests need."""

    def archive() -> Path:
        folder, python = FOLDER / "sources" / package, FOLDER / "venv/bin/python"
        if not python.exists():
            run(sys.executable, "-m", "venv", python.parent.parent)
            run(python, "-m", "pip", "install", "-q", "pytest==8.4.2", "pytest-xdist==3.8.0", "pretend", "flit-core")
        if not list(folder.glob("*.tar.gz")):
            build = ["--no-deps", "--no-binary=:all:", "--no-build-isolation"]
            run(python, "-m", "pip", "download", "-q", *build, "-d", folder, f"{package}=={version}")
        return next(folder.glob("*.tar.gz"))

    return archive


_PIPELINE = r"""
for hash in sha512sum sha384sum sha224sum sha1sum md5sum cksum sum b2sum sha256sum; do
    find . -type f -print0 | xargs -0 -n 1 -P 2 sh -c "tr -d '\r' < \"\$0\" | $hash" |
        sort | uniq -c | sort -rn > ../hashes
done
for file in $(find . -type f); do grep -o '[a-z_]*' "$file" | tr a-z A-Z | sort -u | gzip -9; done | wc -c
tar -cf - . | xz -7e | tee ../pipeline.tar.xz | sha256sum"""

_TESTS = """import subprocess
import pytest

@pytest.mark.parametrize("ms", range(10, 410, 10))
def test_sleeps(ms):
    subprocess.run(["sleep", f"0.{ms:03}"], check=True)
"""

PROJECTS = (
    Project(
        "configure",
        "GNU findutils: configure, then make",
        ("sh", "-c", "./configure -q && make -j2"),
        _debian("findutils", "4.9.0-4"),
        environment={"FORCE_UNSAFE_CONFIGURE": "1"},
    ),
    Project(
        "cmake",
        "Mbed TLS: CMake, then Ninja",
        ("sh", "-c", "cmake -G Ninja -S . -B build -DCMAKE_BUILD_TYPE=Release && ninja -C build"),
        _debian("mbedtls", "2.28.3-1"),
    ),
    Project(
        "pytest",
        "Tests of packaging, with xdist",
        (
            str(FOLDER / "venv/bin/python"),
            "-m",
            "pytest",
            "-q",
            "-n",
            "2",
            "--durations=0",
            "--junitxml=junit.xml",
            "tests/test_version.py",
            "tests/test_programs.py",
        ),
        _python("packaging", "26.3"),
        environment={"PYTHONPATH": "src"},
        adds={"tests/test_programs.py": _TESTS},
    ),
    Project(
        "pipeline",
        "A shell's pipelines, over all files of GNU findutils",
        ("sh", "-c", _PIPELINE),
        _debian("findutils", "4.9.0-4"),
    ),
    Project(
        "failing",
        "Zstandard, with a file that doesn't compile: make -k",
        ("make", "-k", "-j2", "-C", "lib", "MOREFLAGS=-fsanitize=address"),
        _debian("libzstd", "1.5.4+dfsg2-5"),
        2,
        "lib/dictBuilder/cover.c",
    ),
)
