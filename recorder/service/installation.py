"""Installs the service: its user, its unit, and the readers of its file; and removes it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import NoPermission, NotFound, Unavailable, UsageError, WebpfError
from ..host import service_place
from ..host.invocation import sudo_command
from ..kernel import program_source
from ..storage import atomic_file
from . import accounts, program_place, systemd, unit_file


@dataclass(frozen=True)
class Installed:
    """What an installation has done. is_new_user: whether it made the service's user."""

    is_new_user: bool
    readers: tuple[str, ...]


class DryRunFailed(WebpfError):
    """This machine, or the options, can't record. It has the exit code and the message of `webpf record`."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def install(
    options: Sequence[str], readers: Sequence[str] = (), replaces: bool = False, metrics: str | None = None
) -> Installed:
    """Installs the service and starts it, now and at each boot. Nothing is left of it if it can't start.

    options: of `webpf record`. readers: users who become members of the group that can read the file. replaces: whether
    a service that is there gets the new options. metrics: [ADDR:]PORT. Raises NoPermission, Unavailable, UsageError,
    NotFound, CannotCreate, StorageError, or DryRunFailed.
    """
    _check_system()
    existed = os.path.lexists(service_place.UNIT_FILE)
    if existed and not replaces:
        raise UsageError(
            f"the service exists already, as {service_place.UNIT_FILE}; --force gives it other options",
            "webpf service status",
        )
    for user in readers:
        accounts.check_user(user)
    program = program_place.find_command()
    program_place.check(program, sys.argv[1:])
    command = unit_file.command_line(program, options, metrics)
    content = unit_file.text(command, metrics)
    _dry_run(command)
    is_new_user = accounts.make_service_user()
    for user in readers:
        accounts.add_reader(user)
    with atomic_file.open_output(service_place.UNIT_FILE, replaces) as out:
        out.write(content.encode(errors="surrogateescape"))
        os.fchmod(out.fileno(), 0o644)
    _start(removes=not existed)
    return Installed(is_new_user, tuple(readers))


def uninstall() -> None:
    """Stops the service and removes its unit. The file and the user stay.

    Raises NoPermission, Unavailable, NotFound or UsageError.
    """
    _check_system()
    if not os.path.lexists(service_place.UNIT_FILE):
        raise NotFound(f"there is no service: {service_place.UNIT_FILE} doesn't exist", "sudo webpf service install")
    if not service_place.UNIT_FILE.read_text(errors="replace").startswith(unit_file.MARK):
        raise UsageError(
            f"{service_place.UNIT_FILE} was not made by webpf service install, so webpf doesn't remove it",
            f"sudo systemctl disable --now {service_place.UNIT}",
        )
    _remove()


def _check_system() -> None:
    """Raises Unavailable without systemd, and NoPermission for anybody but root."""
    if not systemd.is_running():
        raise Unavailable(
            "systemd doesn't run here; docs/service.md has lines for OpenRC and cron",
            f"sudo webpf record --db {service_place.DB}",
        )
    if os.geteuid() != 0:
        raise NoPermission("only root can install and remove services", sudo_command())


def _dry_run(command: Sequence[str]) -> None:
    """Checks the options, and loads and attaches the BPF programs. Raises DryRunFailed.

    If BCC has to compile them, they are then in the cache, where the service finds them.
    """
    environment = {name: value for name, value in os.environ.items() if name != program_source.VARIABLE}
    called = subprocess.run(
        [*command, "--dry-run"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        cwd="/",
    )
    if called.returncode != 0:
        lines = called.stderr.strip().splitlines() or [f"webpf record --dry-run ended with {called.returncode}"]
        raise DryRunFailed(lines[-1].removeprefix("webpf: "), called.returncode)


def _start(removes: bool) -> None:
    """Starts the service, now and at each boot. Raises Unavailable if it can't start.

    removes: whether its unit is removed then.
    """
    systemd.control("daemon-reload")
    try:
        systemd.control("--quiet", "enable", service_place.UNIT)
        systemd.control("--quiet", "restart", service_place.UNIT)
    except Unavailable as error:
        why = systemd.latest_message() or error.message
        if removes:
            with contextlib.suppress(Unavailable):
                _remove()
        then = "nothing is installed" if removes else "it is installed, and systemd tries again"
        hint = f"journalctl --unit {service_place.UNIT} --pager-end"
        raise Unavailable(f"the service can't start, so {then}: {why}", hint) from None


def _remove() -> None:
    systemd.control("--quiet", "disable", "--now", service_place.UNIT)
    service_place.UNIT_FILE.unlink()
    systemd.control("daemon-reload")
    with contextlib.suppress(Unavailable):  # it has not failed
        systemd.control("--quiet", "reset-failed", service_place.UNIT)
