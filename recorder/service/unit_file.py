"""The unit file of the service: what it runs, and all that it may not do.

Each line was tried, under Debian 12 and 13 (`make service`). Where the order or a value matters, a comment says why.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..host import listen_address, service_place

MARK = "# Made by `webpf service install`, which also removes it; `systemctl edit webpf` changes it.\n"
"""The first line of the file."""

_CAPABILITIES = "CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"

_TEXT = """[Unit]
Description=Record every process of this machine

[Service]
Type=notify
ExecStart={command}
Restart=on-failure
RestartSec=5
# Wrong options, a damaged file, no BPF, no privileges: another start would end in the same way.
RestartPreventExitStatus=64 65 66 69 73 77
# Upgrading an older file, or compiling the BPF programs, can take a while.
TimeoutStartSec=10min
WatchdogSec=3min
WatchdogSignal=SIGKILL
# The main process passes the signal on to the recorder.
KillMode=mixed

User={user}
Group={user}
StateDirectory={folder}
StateDirectoryMode=0750
UMask=0077
# Root's cache: `webpf service install` puts what it compiled there, and the service reads it.
Environment=XDG_CACHE_HOME=/var/cache
# Before Linux 5.11, the kernel's buffer counts as locked memory.
LimitMEMLOCK=infinity

AmbientCapabilities={capabilities}
CapabilityBoundingSet={capabilities}
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=yes
PrivateDevices=yes
{network}
PrivateIPC=yes
PrivateMounts=yes
# CAP_SYS_PTRACE sees through it.
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
# Not `strict`: the recorder would lose the paths of all cgroups. PrivateUsers and ProcSubset=pid would stop it.
ProtectControlGroups=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# After the line that denies them. Without the last, the recorder is killed at the first new cgroup.
SystemCallFilter=bpf perf_event_open open_by_handle_at

[Install]
WantedBy=multi-user.target
"""

_NO_NETWORK = """PrivateNetwork=yes
# For the socket of systemd. Those between its own processes are made by socketpair(2), which this allows.
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any"""


def command_line(program: Sequence[str], options: Sequence[str], metrics: str | None = None) -> list[str]:
    """Returns the words of the service's command.

    program: those that call webpf. options: of `webpf record`. metrics: [ADDR:]PORT.
    """
    served = [] if metrics is None else ["--metrics", metrics]
    return [*program, "record", "--db", str(service_place.DB), "--mode", "0640", *served, *options]


def text(command: Sequence[str], metrics: str | None = None) -> str:
    """Returns the content of the unit file. command, metrics: see command_line(). Raises UsageError."""
    return MARK + _TEXT.format(
        command=" ".join(map(_quoted, command)),
        user=service_place.USER,
        folder=service_place.FOLDER.name,
        capabilities=_CAPABILITIES,
        network=_NO_NETWORK if metrics is None else _network(listen_address.parse(metrics)),
    )


def _network(address: listen_address.Address) -> str:
    """Returns the settings of a service that listens at this address."""
    only_local = ["IPAddressDeny=any", "IPAddressAllow=localhost"] if address.is_local else []
    return "\n".join(["RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6", *only_local])


def _quoted(word: str) -> str:
    """Returns a word as systemd reads it in a command line: see systemd.service(5), and systemd.unit(5) for %."""
    special = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "%": "%%", "$": "$$"}
    inner = "".join(special.get(letter, letter) for letter in word)
    is_plain = inner == word and word and not any(letter in " ';" for letter in word)
    return word if is_plain else f'"{inner}"'
