"""`make wheel`: the wheel records where there is no BCC."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from wheels import export, install

from webpf.kernel import bcc_loader, bpf_source, object_format


@pytest.mark.kernel
def test_make_wheel_puts_the_compiled_programs_in(tmp_path: Path) -> None:
    """From a tree without BCC's traces, and so that webpf takes them where there is no BCC."""
    source = tmp_path / "source"
    export(source)
    venv_of_tests = Path(sys.prefix)
    command = ["make", "wheel", f"VENV={venv_of_tests}", "-o", str(venv_of_tests / "installed-dev"), "-o", "packages"]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    assert not (source / "bpf" / "process.bpf").exists()
    [made] = (source / "dist").glob("*.whl")
    content = zipfile.ZipFile(made).read("webpf/bpf/process.bpf")
    assert object_format.decode(content).source_hash == bpf_source.source_hash()
    python = install(made, tmp_path / "venv")
    code = "import sys; from webpf.kernel import program_source as s; print(s.find_stored().origin)"
    found = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert found.endswith("webpf/bpf/process.bpf, installed with webpf\n")
    hides = f"mount -t tmpfs none {bcc_loader.find().folder} && mount -t tmpfs none /var/cache"
    script = f"{hides} && exec {python} -m webpf record --duration 0.3"
    recorded = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert recorded.returncode == 0, recorded.stderr
    assert "complete, no event was lost" in recorded.stderr


@pytest.mark.kernel
def test_make_wheel_without_bcc(tmp_path: Path) -> None:
    """It is built all the same, and that says so."""
    source = tmp_path / "source"
    export(source)
    command = f"make wheel VENV={sys.prefix} -o {sys.prefix}/installed-dev -o packages"
    script = f"mount -t tmpfs none {bcc_loader.find().folder} && exec {command}"
    built = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=source, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "The wheel is built without the compiled BPF programs" in built.stdout
    [made] = (source / "dist").glob("*.whl")
    assert "webpf/bpf/process.bpf" not in zipfile.ZipFile(made).namelist()
