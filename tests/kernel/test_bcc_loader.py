"""Finding the distribution's BCC, ignoring the package of the same name on PyPI, and the hint to install BCC."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from webpf.errors import Unavailable
from webpf.kernel import bcc_loader

REAL = "class BPF(object):\n    answer = 42\n"
NAMESAKE = "# Body-centred cubic lattices. Unlike the class BPF of another project.\nclass Lattice:\n    pass\n"

DEBIAN = """PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
"""
UBUNTU = """PRETTY_NAME="Ubuntu 24.04.1 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"""
MINT = """NAME="Linux Mint"
VERSION="22 (Wilma)"
ID=linuxmint
ID_LIKE="ubuntu debian"
PRETTY_NAME="Linux Mint 22"
"""
FEDORA = """NAME="Fedora Linux"
VERSION="41 (Workstation Edition)"
ID=fedora
VERSION_ID=41
PLATFORM_ID="platform:f41"
"""
ROCKY = """NAME="Rocky Linux"
VERSION="9.4 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.4"
"""
RHEL = """NAME="Red Hat Enterprise Linux"
ID="rhel"
ID_LIKE="fedora"
"""
AMAZON = """NAME="Amazon Linux"
ID="amzn"
ID_LIKE="fedora"
"""
ARCH = """NAME="Arch Linux"
PRETTY_NAME="Arch Linux"
ID=arch
BUILD_ID=rolling
"""
MANJARO = """NAME="Manjaro Linux"
ID=manjaro
ID_LIKE=arch
"""
ALPINE = """NAME="Alpine Linux"
ID=alpine
VERSION_ID=3.21.0
"""
SINGLE_QUOTES = """NAME='Some Derivative'
ID='derivative'
ID_LIKE='ubuntu debian'
"""
NIXOS = """NAME=NixOS
ID=nixos
"""
NO_ID = """NAME="Debian"
VARIANT_ID=debian
"""


@pytest.mark.parametrize(
    ("os_release", "family"),
    [
        pytest.param(DEBIAN, "debian", id="Debian"),
        pytest.param(UBUNTU, "debian", id="Ubuntu"),
        pytest.param(MINT, "debian", id="Mint"),
        pytest.param(FEDORA, "fedora", id="Fedora"),
        pytest.param(ROCKY, "fedora", id="Rocky"),
        pytest.param(RHEL, "fedora", id="RHEL"),
        pytest.param(AMAZON, "fedora", id="Amazon"),
        pytest.param(ARCH, "arch", id="Arch"),
        pytest.param(MANJARO, "arch", id="Manjaro"),
        pytest.param(ALPINE, "alpine", id="Alpine"),
        pytest.param(SINGLE_QUOTES, "debian", id="single quotes"),  # os-release(5) allows both
        pytest.param(NIXOS, None, id="NixOS"),
        pytest.param(NO_ID, None, id="no ID"),
        pytest.param("", None, id="empty"),
        pytest.param("\n= \nnonsense\nID\n", None, id="nonsense"),
    ],
)
def test_families_of_distributions(tmp_path: Path, os_release: str, family: str | None) -> None:
    path = tmp_path / "os-release"
    path.write_text(os_release)
    assert bcc_loader.distribution(path) == family
    assert family is None or family in bcc_loader.PACKAGES


def test_a_machine_without_os_release(tmp_path: Path) -> None:
    assert bcc_loader.distribution(tmp_path / "none") is None


def test_an_os_release_that_is_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_bytes(b'PRETTY_NAME="\xff"\nID=arch\n')
    assert bcc_loader.distribution(path) == "arch"


def test_the_hint_is_one_command_or_all() -> None:
    family = bcc_loader.distribution()
    hint = bcc_loader.install_hint()
    if family is None:
        assert all(command in hint for command in bcc_loader.PACKAGES.values())
    else:
        assert hint == bcc_loader.PACKAGES[family]


class Machine:
    """Folders in which BCC, or a package of the same name, can be installed."""

    def __init__(self, folder: Path) -> None:
        self.system = folder / "usr/lib/python3/dist-packages"
        self.older, self.newer = (folder / f"usr/lib/python3.{minor}/site-packages" for minor in (11, 12))
        self.venv = folder / "venv/site-packages"
        self.folders = (str(self.system), str(folder / "usr/lib/python3*/site-packages"))

    @staticmethod
    def install(folder: Path, code: str, version: str | None = None) -> Path:
        """Makes a package `bcc` in a folder; returns its path."""
        package = folder / "bcc"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(code)
        if version is not None:
            (package / "version.py").write_text(f"__version__ = '{version}'\n")
        return package


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine on which no BCC is installed. Afterwards `sys.modules` is as before."""
    made = Machine(tmp_path)
    monkeypatch.setattr(bcc_loader, "_FOLDERS", made.folders)
    monkeypatch.setattr(sys, "path", ["", str(made.venv), str(tmp_path / "none")])
    imported = sys.modules.pop("bcc", None)
    yield made
    sys.modules.pop("bcc", None)
    if imported is not None:
        sys.modules["bcc"] = imported


def test_nothing_installed(machine: Machine) -> None:
    for function in (bcc_loader.find, bcc_loader.load):
        with pytest.raises(Unavailable) as caught:
            function()
        assert caught.value.message == "BCC is not installed"
        assert caught.value.hint == bcc_loader.install_hint()
        assert caught.value.exit_code == 69


def test_only_the_namesake_installed(machine: Machine) -> None:
    package = machine.install(machine.venv, NAMESAKE)
    with pytest.raises(Unavailable) as caught:
        bcc_loader.find()
    assert caught.value.message == (
        f"the Python package in {package} is another project that is called bcc too (from PyPI), not BCC"
    )
    assert caught.value.hint == f"{bcc_loader.install_hint()} && {sys.executable} -m pip uninstall bcc"


def test_the_real_one_in_the_distributions_folder(machine: Machine) -> None:
    package = machine.install(machine.system, REAL, "0.26.0")
    assert bcc_loader.find() == bcc_loader.BccPackage(package, "0.26.0")


def test_the_real_one_on_pythons_own_path(machine: Machine) -> None:
    package = machine.install(machine.venv, REAL)
    assert bcc_loader.find() == bcc_loader.BccPackage(package, "unknown")


def test_the_namesake_does_not_hide_the_real_one(machine: Machine) -> None:
    machine.install(machine.venv, NAMESAKE)
    package = machine.install(machine.newer, REAL, "0.31.0")
    assert bcc_loader.find() == bcc_loader.BccPackage(package, "0.31.0")


def test_a_namesake_in_the_systems_folder_does_not_hide_the_real_one(machine: Machine) -> None:
    """This is what `sudo pip install bcc` leads to."""
    machine.install(machine.system, NAMESAKE)
    package = machine.install(machine.venv, REAL)
    assert bcc_loader.find().folder == package


def test_the_copy_of_the_newest_python_is_taken(machine: Machine) -> None:
    machine.install(machine.older, REAL, "0.25.0")
    package = machine.install(machine.newer, REAL, "0.31.0")
    assert bcc_loader.find().folder == package


@pytest.mark.parametrize(
    ("version_file", "version"),
    [('__version__ = "0.37.0"', "0.37.0"), ("__version__='0.37.0+git'", "0.37.0+git"), ("", "unknown")],
)
def test_versions(machine: Machine, version_file: str, version: str) -> None:
    package = machine.install(machine.system, REAL)
    (package / "version.py").write_text(version_file)
    assert bcc_loader.find().version == version


@pytest.mark.parametrize(
    ("code", "is_real"),
    [
        ("class BPF:\n    pass\n", True),
        ("import os\n\n\nclass BPF(object):\n    pass\n", True),
        ("class BPFTable:\n    pass\n", False),
        ("# class BPF\n", False),
        ("BPF = None\n", False),
        ("", False),
    ],
)
def test_what_makes_it_the_real_one(machine: Machine, code: str, is_real: bool) -> None:
    package = machine.install(machine.system, code)
    if is_real:
        assert bcc_loader.find().folder == package
    else:
        with pytest.raises(Unavailable, match="another project"):
            bcc_loader.find()


def test_a_folder_without_code_is_no_package(machine: Machine) -> None:
    (machine.venv / "bcc").mkdir(parents=True)
    with pytest.raises(Unavailable, match="not installed"):
        bcc_loader.find()


def test_loading_by_path(machine: Machine) -> None:
    """Modules of the package are found too, although its folder is not on Python's path."""
    package = machine.install(machine.system, "from .inner import number\n" + REAL, "0.26.0")
    (package / "inner.py").write_text("number = 7\n")
    module = bcc_loader.load()
    try:
        assert (module.BPF.answer, module.number) == (42, 7)
        assert bcc_loader.load() is module
    finally:
        for name in [name for name in sys.modules if name.startswith("bcc.")]:
            if sys.modules[name].__file__ == str(package / "inner.py"):
                del sys.modules[name]


def test_loading_in_spite_of_the_namesake(machine: Machine) -> None:
    """It works even if the namesake was imported before."""
    machine.install(machine.venv, NAMESAKE)
    __import__("bcc")
    assert not hasattr(sys.modules["bcc"], "BPF")
    machine.install(machine.system, REAL)
    assert bcc_loader.load().BPF.answer == 42


@pytest.mark.parametrize(
    "code", ["import no_such_module\n", "raise OSError('libbcc.so.0: not found')\n", "import os\nos.no_such_name\n"]
)
def test_a_copy_that_can_not_be_loaded(machine: Machine, code: str) -> None:
    package = machine.install(machine.system, code + REAL)
    with pytest.raises(Unavailable) as caught:
        bcc_loader.load()
    assert caught.value.message.startswith(f"BCC in {package} can't be loaded: ")
    assert caught.value.hint == bcc_loader.install_hint()
    assert "bcc" not in sys.modules
