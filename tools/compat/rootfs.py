"""Makes root file systems of Debian's suites, with their own Python, and with webpf and its dependencies in a venv.

    python -m tools.compat.rootfs [--with-bcc] SUITE...

There are two kinds. In one, webpf is installed from the wheel that has the compiled BPF programs, and nothing could
compile them: no BCC, LLVM or libbpf. The other has the suite's BCC, and webpf in a source tree without compiled BPF
programs. Root file systems are made once and kept; webpf is installed in them again at each run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from tools import mirror
from tools.cache import CACHE, PROJECT, copy_working_copy, run
from tools.compat import foreign
from tools.compat.wheel import build_wheel, copy_tests

PACKAGES = ("python3", "gcc", "libc6-dev")
NATIVE_PACKAGES = (*PACKAGES, "python3-venv")
WHEEL_PACKAGES = ("pipx", "sudo")
BCC_PACKAGES = ("python3-bpfcc",)
SYSTEMD_PACKAGES = ("systemd", "systemd-sysv", "dbus", "udev", "procps", "libpam-systemd")
EXTRAS = "test,metrics"
"""Of webpf, for what the tests need."""
TREE = "srv/webpf"
"""The source tree. Without BCC it has no webpf in it, so that the tests take the one in the venv."""
VENV = "srv/venv"
USER = "someone"
"""A user of the root file systems without BCC who may call sudo."""
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMPILERS = re.compile(
    r"lib(bcc|bpf|LLVM|clang)\b.*|(clang|clang\+\+|llc)(-\d+)?|(bpf|.*-bpf)-gcc.*|gcc-bpf|bpftool|bcc|pahole"
)
"""Names of files and folders that are there only where BPF programs could be compiled or linked."""

# The mounts belong to a namespace of their own, so they are gone with the command, however it ends.
ENTER = """
mount --bind {root} {root}
for folder in proc sys dev; do mount --rbind /$folder {root}/$folder; done
for folder in tmp run; do mount -t tmpfs tmpfs {root}/$folder; done
exec chroot {root} /usr/bin/env -i {environment} {command}
"""


@dataclass(frozen=True)
class Root:
    """A root file system. architecture: Debian's name for it. has_systemd: whether a machine can boot from it."""

    suite: str
    architecture: str = "amd64"
    has_bcc: bool = False
    has_systemd: bool = False

    @property
    def name(self) -> str:
        """A name for files."""
        parts = {"bcc": self.has_bcc, "systemd": self.has_systemd, self.architecture: self.is_foreign}
        return "-".join([self.suite, *(part for part, is_true in parts.items() if is_true)])

    @property
    def path(self) -> Path:
        """Its folder on this machine."""
        return CACHE / f"root-{self.name}"

    @property
    def is_foreign(self) -> bool:
        """Whether its programs can't run on this machine."""
        return self.architecture != "amd64"


def enter(root: Path, command: list[str], environment: dict[str, str] | None = None) -> list[str]:
    """Returns the command that runs another one in a root file system, on this kernel and in its pid namespace."""
    given = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    script = ENTER.format(
        root=shlex.quote(str(root)),
        environment=shlex.join(f"{name}={value}" for name, value in (given | (environment or {})).items()),
        command=shlex.join(command),
    )
    return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]


def packages_of(root: Root) -> tuple[str, ...]:
    """Returns the packages that a root file system has, with all that they depend on."""
    if root.is_foreign:
        return PACKAGES
    native = NATIVE_PACKAGES + (BCC_PACKAGES if root.has_bcc else WHEEL_PACKAGES)
    return native + (SYSTEMD_PACKAGES if root.has_systemd else ())


def recipe(root: Root) -> str:
    """Returns a digest of what is installed into a root file system. If it changes, the root is made again."""
    dependencies = re.findall(
        r"^dependencies = \[.*?^\]|^(?:test|metrics) = .*?$|^\[tool.setuptools\].*?^$",
        (PROJECT / "pyproject.toml").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    return hashlib.sha256(repr((packages_of(root), dependencies)).encode()).hexdigest()


def make(root: Root) -> Path:
    """Makes a root file system if necessary, installs webpf as it is now in it, and returns its path."""
    stamp = root.path.with_name(f"{root.path.name}.recipe")
    if not stamp.exists() or stamp.read_text() != recipe(root):
        print(f"making a root file system of Debian {root.name} in {root.path}", flush=True)
        stamp.unlink(missing_ok=True)
        run("rm", "-rf", "--one-file-system", root.path)
        CACHE.mkdir(parents=True, exist_ok=True)
        build(root)
        stamp.write_text(recipe(root))
    install_webpf(root)
    # Compiled BPF programs of an earlier run.
    run("rm", "-rf", root.path / "var/cache/webpf")
    return root.path


def build(root: Root) -> None:
    """Installs a minimal Debian, the packages that webpf's tests need, and the venv with webpf's dependencies."""
    if root.is_foreign:
        foreign.unpack(root.suite, root.architecture, packages_of(root), root.path)
        foreign.make_venv(root.path / VENV)
    else:
        run("debootstrap", "--variant=minbase", f"--keyring={mirror.KEYRING}", root.suite, root.path, mirror.address())
        (root.path / "etc/apt/apt.conf.d/99tools").write_text(mirror.settings())
        run(*enter(root.path, ["apt-get", "update", "-qq"]))
        run(*enter(root.path, ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages_of(root)]))
        run(*enter(root.path, ["apt-get", "clean"]))
        run(*enter(root.path, ["python3", "-m", "venv", f"/{VENV}"]))
    if not root.is_foreign and not root.has_bcc:
        run(*enter(root.path, ["useradd", "--create-home", "--shell", "/bin/sh", USER]))
        (root.path / "etc/sudoers.d" / USER).write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    install_webpf(root, with_dependencies=True)


def install_webpf(root: Root, with_dependencies: bool = False) -> None:
    """Installs webpf and its tests: a source tree where BCC is, else the wheel."""
    if root.has_bcc:
        copy_working_copy(root.path / TREE)
        if with_dependencies:
            pip_install(root.path, "--editable", f"/{TREE}[{EXTRAS}]")
        return
    copy_tests(root.path / TREE)
    options = [] if with_dependencies else ["--no-deps"]
    if root.is_foreign:
        foreign.pip_install(root.path, VENV, root.architecture, *options, f"{build_wheel()}[{EXTRAS}]")
    else:
        pip_install(root.path, "--force-reinstall", *options, f"{give_wheel(root)}[{EXTRAS}]")
    found = compilers(root.path)
    if found:
        raise SystemExit(f"the root file system {root.path} can compile BPF programs, with {' '.join(found)}")


def give_wheel(root: Root) -> str:
    """Copies the wheel into a root file system; returns its path there."""
    wheel = build_wheel()
    for old in (root.path / "srv").glob("*.whl"):
        old.unlink()
    shutil.copy(wheel, root.path / "srv")
    return f"/srv/{wheel.name}"


def compilers(root: Path) -> list[str]:
    """Returns the files and folders of a root file system with which BPF programs could be compiled or linked."""
    names = run("find", root, "-xdev", "-path", root / TREE, "-prune", "-o", "-print").splitlines()
    return sorted(name for name in names if COMPILERS.fullmatch(name.rpartition("/")[2]))


def pip_install(root: Path, *arguments: str) -> None:
    """Installs with the pip of the venv in a root file system."""
    pip = [f"/{VENV}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*enter(root, [*pip, *arguments], let_pip_in(root)))


def let_pip_in(root: Path) -> dict[str, str]:
    """Copies this machine's access to the package index into a root: certificates, pip.conf, name servers.

    Returns the environment variables that pip needs there.
    """
    here = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile or f"/{CERTIFICATES}"
    (root / CERTIFICATES).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(here, root / CERTIFICATES)
    for name in ("etc/pip.conf", "etc/resolv.conf", "etc/hosts"):
        if Path("/", name).exists():
            shutil.copy(Path("/", name), root / name)
    handed_on = ("PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "PIP_PROXY", "http_proxy", "https_proxy", "no_proxy")
    return {"PIP_CERT": f"/{CERTIFICATES}"} | {name: os.environ[name] for name in handed_on if name in os.environ}


if __name__ == "__main__":
    suites = [word for word in sys.argv[1:] if word != "--with-bcc"]
    for suite in suites:
        print(make(Root(suite, has_bcc="--with-bcc" in sys.argv)))
