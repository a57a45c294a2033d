"""The unit, container and pod in paths of cgroups, as systemd, container engines and Kubernetes make them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webpf.model.cgroup_place import NOWHERE, Place, parse

A, B = "4f" * 32, "0123456789abcdef" * 4
UID = "2c48913c-b29f-11e7-9350-020968147796"
SLICE_UID = UID.replace("-", "_")
STATIC = "d3b07384d113edec49eaa6238ad5ff00"
USER = "/user.slice/user-1000.slice"

PATHS: dict[Any, Place] = {
    # systemd
    "/": NOWHERE,
    "/init.scope": Place("init.scope"),
    "/system.slice/ssh.service": Place("ssh.service"),
    "/system.slice/system-getty.slice/getty@tty1.service": Place("getty@tty1.service"),
    "/system.slice/system-serial\\x2dgetty.slice/serial-getty@ttyS0.service": Place("serial-getty@ttyS0.service"),
    "/system.slice/dev-disk-by\\x2duuid-1\\x2d2.swap": Place("dev-disk-by\\x2duuid-1\\x2d2.swap"),
    "/system.slice/my\\x2dapp@a\\x2db.service": Place("my\\x2dapp@a\\x2db.service"),
    "/system.slice/home.mount": Place("home.mount"),
    "/system.slice/cups.socket": Place("cups.socket"),
    "/system.slice/_cpu.service": Place("cpu.service"),  # as cg_escape() of systemd writes it
    "/system.slice/delegated.service/payload/worker": Place("delegated.service"),
    "/system.slice": NOWHERE,
    "/user.slice/user-1000.slice": NOWHERE,
    f"{USER}/session-3.scope": Place("session-3.scope"),
    f"{USER}/user@1000.service/init.scope": Place("init.scope"),
    f"{USER}/user@1000.service": Place("user@1000.service"),
    f"{USER}/user@1000.service/app.slice/app-foo.scope": Place("app-foo.scope"),
    f"{USER}/user@1000.service/app.slice/app-gnome-org.gnome.Terminal-4711.scope": Place(
        "app-gnome-org.gnome.Terminal-4711.scope"
    ),
    f"{USER}/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope": Place("vte-spawn-1.scope"),
    f"{USER}/user@1000.service/session.slice/dbus-:1.2-org.a@0.service": Place("dbus-:1.2-org.a@0.service"),
    "/../../system.slice/ssh.service": Place("ssh.service"),  # seen from another cgroup namespace
    "/machine.slice/systemd-nspawn@box.service/payload/system.slice/cron.service": Place("cron.service"),
    # container engines
    f"/system.slice/docker-{A}.scope": Place(f"docker-{A}.scope", A),
    f"/docker/{A}": Place(None, A),
    f"/docker/{A}/system.slice/ssh.service": Place("ssh.service", A),
    f"/docker/buildkit/{A}": Place(None, A),
    f"/docker/{A}/docker/{B}": Place(None, B),
    f"/machine.slice/libpod-{A}.scope": Place(f"libpod-{A}.scope", A),
    f"/machine.slice/libpod-{A}.scope/container": Place(f"libpod-{A}.scope", A),
    f"/machine.slice/libpod-conmon-{A}.scope": Place(f"libpod-conmon-{A}.scope"),  # the monitor is not in it
    f"{USER}/user@1000.service/user.slice/libpod-{A}.scope/container": Place(f"libpod-{A}.scope", A),
    f"{USER}/user@1000.service/user.slice/podman-7.scope/libpod-payload-{A}": Place("podman-7.scope", A),
    f"/libpod_parent/libpod-{A}": Place(None, A),
    f"/system.slice/nerdctl-{A}.scope": Place(f"nerdctl-{A}.scope", A),
    f"/default/{A}": Place(None, A),
    f"/docker/{A[:-1]}": NOWHERE,
    f"/docker/{A}0": NOWHERE,
    f"/system.slice/docker-{A[:12]}.scope": Place(f"docker-{A[:12]}.scope"),
    # Kubernetes
    "/kubepods.slice": NOWHERE,
    "/kubepods.slice/kubepods-burstable.slice": NOWHERE,
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE_UID}.slice": Place(None, None, UID),
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE_UID}.slice/cri-containerd-{A}.scope": Place(
        f"cri-containerd-{A}.scope", A, UID
    ),
    f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{SLICE_UID}.slice/crio-{A}.scope": Place(
        f"crio-{A}.scope", A, UID
    ),
    f"/kubepods.slice/kubepods-pod{SLICE_UID}.slice/docker-{A}.scope": Place(f"docker-{A}.scope", A, UID),
    f"/kubepods.slice/kubepods-pod{SLICE_UID}.slice/crio-conmon-{A}.scope": Place(f"crio-conmon-{A}.scope", None, UID),
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{STATIC}.slice/crio-{A}.scope": Place(
        f"crio-{A}.scope", A, STATIC
    ),
    f"/kubepods/besteffort/pod{UID}/{A}": Place(None, A, UID),
    f"/kubepods/pod{UID}/{A}": Place(None, A, UID),
    f"/kubepods/burstable/pod{UID}/crio-{A}": Place(None, A, UID),
    f"/docker/{B}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{SLICE_UID}.slice/crio-{A}.scope": Place(
        f"crio-{A}.scope",
        A,
        UID,  # a cluster of kind
    ),
    f"/system.slice/containerd.service/kubepods-burstable-pod{SLICE_UID}.slice:cri-containerd:{A}": Place(
        "containerd.service", A, UID
    ),
    "/kubepods/besteffort/podcast": NOWHERE,
    # names of any bytes
    "": NOWHERE,
    None: NOWHERE,
    b"/system.slice/ssh.service": Place("ssh.service"),
    b"/\xff\xfe/a.service/\xff.service": Place("a.service"),
    "/é.service/ssh.service\n/\x1b.scope": NOWHERE,
    "/.service/.scope/_": NOWHERE,
}


@pytest.mark.parametrize(("path", "place"), PATHS.items())
def test_real_paths(path: Any, place: Place) -> None:
    assert parse(path) == place


def test_long_paths() -> None:
    assert parse("/a" * 1_000_000) == NOWHERE
    assert parse("/" + "a-" * 1_000_000) == NOWHERE
    assert parse("/" + "a" * 300 + ".service") == NOWHERE


@given(st.one_of(st.binary(), st.text()))
def test_any_bytes(path: str | bytes) -> None:
    """What is found can be stored as text."""
    for part in parse(path):
        assert part is None or part.isascii()
