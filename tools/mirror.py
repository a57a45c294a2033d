"""The Debian mirror that this machine's apt uses: its address, its settings, and single packages out of any suite."""

from __future__ import annotations

import re
from pathlib import Path

from tools.cache import CACHE, run

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES = ("bullseye", "bookworm", "sid")
SECURE_SUITES = ("bookworm-security",)
KINDS = ("deb", "deb-src")
"""Where the kernels are. Kernels of a newer series come to a stable release as security updates."""


def address(label: str = "Debian") -> str:
    """Returns the first mirror in apt's configuration with this label."""
    listed = run("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages")
    for line in listed.splitlines():
        found, _, uri = line.rpartition(" ")
        if found == label:
            return uri
    raise SystemExit(f"apt has no mirror of {label} here: this needs a Debian machine, after `apt-get update`")


def settings() -> str:
    """Returns apt's settings for its mirror: proxies, and whether it checks dates."""
    lines = run("apt-config", "dump").splitlines()
    return "".join(line + "\n" for line in lines if re.match(r"Acquire::(https?|Check-[\w-]+)\b.*[^\"]\"", line))


def _own_apt(architecture: str = "amd64") -> list[str]:
    """Returns options that give apt its own lists, of all suites. The lists of this machine don't change."""
    lists = CACHE / ("apt" if architecture == "amd64" else f"apt-{architecture}")
    (lists / "state/lists/partial").mkdir(parents=True, exist_ok=True)
    (lists / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    (lists / "status").touch()
    sources = [(address(), suite) for suite in SUITES] + [
        (address("Debian-Security"), suite) for suite in SECURE_SUITES
    ]
    (lists / "sources.list").write_text(
        "".join(f"{kind} [signed-by={KEYRING}] {uri} {suite} main\n" for uri, suite in sources for kind in KINDS)
    )
    options = {
        "Dir::State": lists / "state",
        "Dir::State::status": lists / "status",
        "Dir::Cache": lists / "cache",
        "Dir::Etc::SourceList": lists / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "APT::Sandbox::User": "root",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
    }
    own = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    if not any((lists / "state/lists").glob("*Sources*")):
        run("apt-get", *own, "-qq", "update")
    return own


def fetch(pattern: str, architecture: str, folder: Path) -> Path:
    """Downloads the newest of the packages whose names match, from all suites. architecture: Debian's name for it."""
    own = _own_apt(architecture)
    names = run("apt-cache", *own, "search", "--names-only", pattern).splitlines()
    if not names:
        raise SystemExit(f"the mirror has no package {pattern}")
    # Where there are both, linux-image is empty and needs linux-binary.
    newest = max((line.split()[0] for line in names), key=lambda name: (by_version(name), "-binary-" in name))
    folder.mkdir(parents=True, exist_ok=True)
    run("env", "-C", folder, "apt-get", *own, "-qq", "download", newest)
    return max(folder.glob("*.deb"), key=lambda file: file.stat().st_mtime)


def fetch_source(package: str, version: str, folder: Path) -> Path:
    """Downloads a source package in one version; returns the upstream archive."""
    folder.mkdir(parents=True, exist_ok=True)
    run("env", "-C", folder, "apt-get", *_own_apt(), "-qq", "source", "--download-only", f"{package}={version}")
    return next(file for file in folder.glob("*.orig.tar.*") if not file.name.endswith(".asc"))


def by_version(name: str) -> list[int]:
    """A sort key: orders the names of kernel packages by the numbers in them."""
    return [int(number) for number in re.findall(r"\d+", name)]
