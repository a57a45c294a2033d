"""Makes root file systems of Debian's suites, with their own BCC and Python, and webpf's dependencies in a venv.

    python -m tools.compat.rootfs SUITE...

They are made once and kept. The source tree is copied into them at each run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import ssl
import sys
from pathlib import Path

from tools import mirror
from tools.cache import CACHE, PROJECT, copy_working_copy, run

PACKAGES = ("python3", "python3-venv", "python3-bpfcc", "gcc", "libc6-dev", "iproute2")
TREE = "srv/webpf"
"""The source tree, as the venv knows it."""
VENV = "srv/venv"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The mounts belong to a namespace of their own, so they are gone with the command, however it ends.
ENTER = """
mount --bind {root} {root}
for folder in proc sys dev; do mount --rbind /$folder {root}/$folder; done
for folder in tmp run; do mount -t tmpfs tmpfs {root}/$folder; done
exec chroot {root} /usr/bin/env -i {environment} {command}
"""


def enter(root: Path, command: list[str], environment: dict[str, str] | None = None) -> list[str]:
    """Returns the command that runs another one in a root file system, on this kernel and in its pid namespace."""
    given = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    script = ENTER.format(
        root=shlex.quote(str(root)),
        environment=shlex.join(f"{name}={value}" for name, value in (given | (environment or {})).items()),
        command=shlex.join(command),
    )
    return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]


def recipe() -> str:
    """Returns a digest of what is installed into a root. If it changes, the root is made again."""
    dependencies = re.findall(
        r"^dependencies = \[.*?^\]|^test = .*?$|^\[tool.setuptools\].*?^$",
        (PROJECT / "pyproject.toml").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    return hashlib.sha256(repr((PACKAGES, dependencies)).encode()).hexdigest()


def make(suite: str) -> Path:
    """Makes the root file system of a suite if necessary, copies the source tree into it, and returns its path."""
    root, stamp = CACHE / f"root-{suite}", CACHE / f"root-{suite}.recipe"
    if not stamp.exists() or stamp.read_text() != recipe():
        print(f"making a root file system of Debian {suite} in {root}", flush=True)
        stamp.unlink(missing_ok=True)
        run("rm", "-rf", "--one-file-system", root)
        build(suite, root)
        stamp.write_text(recipe())
    copy_working_copy(root / TREE)
    return root


def build(suite: str, root: Path) -> None:
    """Installs a minimal Debian, the packages that webpf and its tests need, and the venv."""
    CACHE.mkdir(parents=True, exist_ok=True)
    run("debootstrap", "--variant=minbase", f"--keyring={mirror.KEYRING}", suite, root, mirror.address())
    (root / "etc/apt/apt.conf.d/99tools").write_text(mirror.settings())
    run(*enter(root, ["apt-get", "update", "-qq"]))
    run(*enter(root, ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]))
    run(*enter(root, ["apt-get", "clean"]))
    copy_working_copy(root / TREE)
    environment = let_pip_in(root)
    run(*enter(root, ["python3", "-m", "venv", f"/{VENV}"]))
    pip = [f"/{VENV}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*enter(root, [*pip, "--editable", f"/{TREE}[test]"], environment))


def let_pip_in(root: Path) -> dict[str, str]:
    """Copies this machine's access to the package index into a root: certificates, pip.conf, name servers."""
    here = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile or f"/{CERTIFICATES}"
    (root / CERTIFICATES).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(here, root / CERTIFICATES)
    for name in ("etc/pip.conf", "etc/resolv.conf", "etc/hosts"):
        if Path("/", name).exists():
            shutil.copy(Path("/", name), root / name)
    handed_on = ("PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "PIP_PROXY", "http_proxy", "https_proxy", "no_proxy")
    return {"PIP_CERT": f"/{CERTIFICATES}"} | {name: os.environ[name] for name in handed_on if name in os.environ}


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        print(make(wanted))
