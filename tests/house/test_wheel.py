"""What is installed: the wheel holds what the repository holds, runs outside of it, and has the promised metadata."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import PROJECT
from wheels import export, install, tracked_files

from webpf.analysis import saved_queries

INFO = re.compile(r"\.(dist-info|data)/")  # of the wheel itself, and what goes elsewhere
FOLDERS = {"recorder": "webpf", "bpf": "webpf/bpf", "queries": "webpf/queries"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from an export of what git tracks (by way of a source distribution, as for a release)."""
    source = tmp_path_factory.mktemp("source")
    export(source)
    output = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(output), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(output.glob("*.whl"))


def test_the_wheel_holds_what_git_tracks(wheel: Path) -> None:
    expected = set()
    for name in tracked_files():
        top, _, rest = name.partition("/")
        if top in FOLDERS:
            expected.add(f"{FOLDERS[top]}/{rest}")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if INFO.search(name) is None}
    assert packed == expected


def test_the_wheel_holds_every_static_file(wheel: Path) -> None:
    """In sub-folders too: what a module imports is served from there, byte for byte."""
    static = PROJECT / "recorder" / "web" / "plugin" / "static"
    files = {path.relative_to(static).as_posix(): path.read_bytes() for path in static.rglob("*") if path.is_file()}
    archive, folder = zipfile.ZipFile(wheel), "webpf/web/plugin/static/"
    packed = {name.removeprefix(folder): archive.read(name) for name in archive.namelist() if name.startswith(folder)}
    assert packed == files
    assert {"timeline.js", "timeline/view.js", "timeline.css"} <= set(packed)


def test_only_webpf_lands_in_site_packages(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if INFO.search(f"{top}/") is None} == {"webpf"}


def test_the_manual_page_is_installed(wheel: Path) -> None:
    """Where man(1) finds it, below the prefix into which pip installs."""
    archive = zipfile.ZipFile(wheel)
    name = next(name for name in archive.namelist() if name.endswith(".data/data/share/man/man1/webpf.1"))
    assert archive.read(name) == (PROJECT / "docs" / "webpf.1").read_bytes()


def test_bcc_is_no_requirement(wheel: Path) -> None:
    """The package of that name on the Python index is another project."""
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    requirements = [
        re.split("[<>=!]", line.split()[1])[0] for line in metadata.splitlines() if line.startswith("Requires-Dist")
    ]
    assert "bcc" not in requirements
    assert {"sqlite-utils", "typer", "datasette"} <= set(requirements)
    assert "License-Expression: MIT" in metadata
    assert "Requires-Python: >=3.10" in metadata


def test_the_wheel_runs_by_itself(wheel: Path, tmp_path: Path) -> None:
    """In a virtual environment without the repository: it finds its queries and its BPF program."""
    python = install(wheel, tmp_path / "venv")
    code = (
        f"import webpf, importlib.resources as r; from {saved_queries.__name__} import names;"
        "print(webpf.__file__, names(), r.files('webpf.bpf').joinpath('process.c').is_file(),"
        "r.files('webpf.bpf').joinpath('include/linux/types.h').is_file())"
    )
    run = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(tmp_path / "venv") in run.stdout
    assert "lifetimes" in run.stdout
    assert run.stdout.rstrip().endswith("True True")


def test_the_bpf_program_is_gpl_compatible() -> None:
    """The kernel lets only such programs call the helpers that it needs."""
    source = (PROJECT / "bpf" / "process.c").read_text(encoding="utf-8")
    assert "SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)" in source
    assert "#define BPF_LICENSE Dual BSD/GPL" in source
