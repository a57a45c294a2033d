"""Finds the systemd unit, the container and the pod in the path of a cgroup."""

from __future__ import annotations

import re
from typing import NamedTuple

# As unit_name_is_valid() in systemd's src/basic/unit-name.c; of the types of units that can have processes.
_UNIT = re.compile(r"[0-9A-Za-z:_.\\@-]{1,245}\.(?:service|scope|socket|mount|swap)")
# An engine names the cgroup of a container by its id: 64 hexadecimal digits, of systemd as docker-ID.scope.
_CONTAINER = re.compile(
    r"(?:(?:docker|cri-containerd|crio|libpod|libpod-payload|nerdctl)-|.*:cri-containerd:)?([0-9a-f]{64})(?:\.scope)?"
)
# kubepods-burstable-podUID.slice, in which systemd wants _ instead of -, or podUID. Of a static pod, UID has no dashes.
_POD = re.compile(
    r"(?:(?:[a-z]+-)*kubepods-(?:[a-z]+-)?)?pod"
    r"([0-9a-f]{8}(?:[_-][0-9a-f]{4}){3}[_-][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?::cri-containerd:[0-9a-f]{64})?"
)


class Place(NamedTuple):
    """Where a cgroup belongs to. None: not to any, or the path doesn't say it.

    unit: the innermost unit of systemd that isn't a slice, as systemctl shows it, with its escapes: of a user's
    service, that one and not user@1000.service. container: id of the innermost container. pod: uid of the Kubernetes
    pod, with dashes as in the API.
    """

    unit: str | None = None
    container: str | None = None
    pod: str | None = None


NOWHERE = Place()


def parse(path: str | bytes | None) -> Place:
    """Returns what the path of a cgroup says about its unit, container and pod. The path may have any bytes."""
    if path is None:
        return NOWHERE
    if isinstance(path, bytes):
        path = path.decode("utf-8", "surrogateescape")
    unit = container = pod = None
    for part in path.split("/"):
        # systemd puts a _ before names that the kernel uses itself, for example _cpu.service.
        name = part.removeprefix("_")
        if _UNIT.fullmatch(name):
            unit = name
        if match := _CONTAINER.fullmatch(part):
            container = match[1]
        if match := _POD.fullmatch(part):
            pod = match[1].replace("_", "-")
    return Place(unit, container, pod)
