"""The options of a recording, with their defaults and the checks of their values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import NotFound, UsageError
from ..kernel.filters import FilterOptions
from ..model import durations, environment
from ..model.limits import LEAST_BYTES, Limits
from ..model.recording import NO_EVENTS
from ..model.redaction import Redaction
from ..model.series import AGAINST, SeriesRun

_MIB = 1024 * 1024
_MOST_MIB = 1024
_MOST_ARGS = 2 * _MIB  # argv.MAX_ARGV_BYTES
_MODE = re.compile(r"(?:0o?)?6[04][04]")


@dataclass(frozen=True)
class RecordOptions:
    """The options of `webpf record`, as on the command line. `webpf stream` has some of them.

    command: if it is empty, the whole machine is recorded. duration, min_lifetime: seconds; without duration,
    recording ends at a signal. max_args: bytes of arguments that are kept for one exec. redact: regular expressions.
    env: names of environment variables to keep of each exec; see variables. events: all, or none: then forks, exits and
    frees aren't written, only the processes made from them; None: see kept_events. rotate: seconds after which the
    recording goes on as another one. limits: what is kept of the chain that this makes.
    streamed: in a replay, the options with which the stream was made; empty if they are unknown; None: not a replay.
    program: file with the compiled BPF programs. mode: permissions of the file, as octal digits; see file_mode.
    run: which run of a series this is; None: it is not of a series.
    """

    command: tuple[str, ...] = ()
    db: Path = Path("webpf.db")
    duration: float | None = None
    pid: int | None = None
    all: bool = False
    as_root: bool = False
    own_cgroup: bool = False
    filters: FilterOptions = field(default_factory=FilterOptions)
    min_lifetime: float | None = None
    name: str | None = None
    buffer_mib: int = 16
    max_args: int = 32768
    no_args: bool = False
    redact: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    events: str | None = None
    rotate: float | None = None
    limits: Limits = field(default_factory=Limits)
    streamed: Mapping[str, Any] | None = None
    program: Path | None = None
    mode: str | None = None
    run: SeriesRun | None = None

    def validate(self) -> None:
        """Raises UsageError for values that are invalid or can't be combined, and NotFound for an impossible pid."""
        self._check_sizes()
        self._check_command()
        self._check_filters()
        self._check_env()
        self._check_mode()
        self._check_limits()
        self.filters.parse()
        self.redaction()
        if self.pid is not None and self.pid < 1:
            raise NotFound(f"there is no process {self.pid}", "ps -e")

    def _check_sizes(self) -> None:
        if not 1 <= self.buffer_mib <= _MOST_MIB or self.buffer_mib & (self.buffer_mib - 1):
            message = f"--buffer-mib must be a power of two from 1 to {_MOST_MIB}, not {self.buffer_mib}"
            raise UsageError(message, "webpf record --buffer-mib 16")
        if not 0 <= self.max_args <= _MOST_ARGS:
            message = f"--max-args must be from 0 to {_MOST_ARGS}, not {self.max_args}"
            raise UsageError(message, "webpf record --max-args 32768")
        if self.max_args * 4 > self.buffer_mib * _MIB:
            message = f"--max-args {self.max_args} needs a larger buffer than {self.buffer_mib} MiB"
            raise UsageError(message, "webpf record --buffer-mib 16")

    def _check_command(self) -> None:
        if self.command and self.pid is not None:
            raise UsageError("--pid can't be used with a command", f"webpf record --pid {self.pid}")
        if self.command and self.duration is not None:
            message = "--duration can't be used with a command, because a command is recorded until it ends"
            raise UsageError(message, shlex.join(["webpf", "record", "--", "timeout", "60", *self.command]))
        for option, is_set in (("--all", self.all), ("--as-root", self.as_root), ("--own-cgroup", self.own_cgroup)):
            if is_set and not self.command:
                raise UsageError(f"{option} needs a command", f"webpf record {option} -- make")
        if self.all and self.own_cgroup:
            raise UsageError("--all and --own-cgroup can't be used together", "webpf record --own-cgroup -- make")
        in_use = (*self.limits.in_use, *(["--rotate"] if self.rotate is not None else []))
        if self.command and in_use:
            message = f"{in_use[0]} can't be used with a command, which is one recording until it ends"
            raise UsageError(message, shlex.join(["webpf", "record", "--", *self.command]))

    def _check_filters(self) -> None:
        if self.pid is None and (not self.command or self.all):
            return
        in_use = self.filters.in_use()
        if self.min_lifetime:
            in_use["--min-lifetime"] = str(self.min_lifetime)
        for option, value in in_use.items():
            whole_machine = ["--all", "--", *self.command] if self.command else []
            message = f"{option} is only for recordings of the whole machine, not of one process or command"
            raise UsageError(message, shlex.join(["webpf", "record", option, value, *whole_machine]))

    def _check_env(self) -> None:
        for name in self.env:
            if not environment.is_name(name):
                shown = name.encode("utf-8", "backslashreplace").decode()
                message = f"--env {shown!r} is not the name of an environment variable"
                right = name.partition("=")[0]
                hint = right if right != name and environment.is_name(right) else "PATH"
                raise UsageError(message, shlex.join(["webpf", "record", "--env", hint]))

    def _check_mode(self) -> None:
        if self.mode is not None and not _MODE.fullmatch(self.mode):
            message = f"--mode must be 0600, 0640, 0604 or 0644, not {self.mode!r}: others can read the file at most"
            raise UsageError(message, "webpf record --mode 0640")

    @property
    def file_mode(self) -> int | None:
        """Returns the permissions of the file. None: a new file is its owner's only, and others keep what they have."""
        return None if self.mode is None else int(self.mode.removeprefix("0o"), 8)

    def _check_limits(self) -> None:
        keep, rotate = self.limits.keep_seconds, self.rotate
        if keep is not None and rotate is not None and keep < rotate:
            shorter, longer = durations.text(keep), durations.text(rotate)
            message = f"--keep {shorter} is shorter than --rotate {longer}: nothing would be kept for long"
            raise UsageError(message, f"webpf record --rotate {shorter} --keep {longer}")
        if (self.limits.most_bytes or LEAST_BYTES) < LEAST_BYTES:
            message = f"--max-size must be at least {LEAST_BYTES // _MIB}MiB: it is kept by deleting parts of the file"
            raise UsageError(message, f"webpf record --max-size {LEAST_BYTES // _MIB}MiB")

    @property
    def variables(self) -> tuple[str, ...]:
        """Returns the names of the environment variables to keep, each once."""
        return tuple(dict.fromkeys(self.env))

    @property
    def kept_events(self) -> str:
        """Returns which raw events are written: by default all, but none if the recording rotates."""
        return self.events or (NO_EVENTS if self.rotate else "all")

    @property
    def target_name(self) -> str:
        """Returns what is recorded: `command`, `machine`, or `pid N`."""
        return "command" if self.command else "machine" if self.pid is None else f"pid {self.pid}"

    @property
    def is_filtered(self) -> bool:
        """Whether there are filters: then the first event of a process can be later than its fork."""
        return bool(self.own_cgroup or self.filters.in_use())

    @property
    def max_args_of_kernel(self) -> int:
        """Returns how many bytes of the arguments of one exec the BPF programs read: 0 with --no-args."""
        return 0 if self.no_args else self.max_args

    @property
    def columns_of_run(self) -> dict[str, Any]:
        """Returns the columns of `recordings` that say which run of a series it is; an empty dict if it is of none."""
        return {} if self.run is None else {"run_group": self.run.group, "run": self.run.number}

    def redaction(self) -> Redaction:
        """Returns what hides arguments. Raises UsageError for an invalid regular expression."""
        return Redaction(self.no_args, self.redact)

    def recorded(self) -> dict[str, Any]:
        """Returns what `recordings.options` stores, as plain values. Saved queries and readers rely on these keys.

        Only the number of `redact` patterns is stored, because patterns can be secrets. A replay stores the options of
        the stream, and nothing about the machine on which it is replayed.
        """
        if self.streamed is not None:
            own = {"name": self.name, "of": "machine", "filtered": False, "events": self.kept_events, "replayed": True}
            return {**self.streamed, **own, **({"rotate": self.rotate} if self.rotate else {})}
        return {
            "db": str(self.db),
            "duration": self.duration,
            "name": self.name,
            "buffer_mib": self.buffer_mib,
            "max_args": self.max_args,
            "no_args": self.no_args,
            "redact": len(self.redact),
            "of": self.target_name,
            **self.filters.recorded(),
            "min_lifetime": self.min_lifetime,
            "cgroup": self.own_cgroup,
            "filtered": self.is_filtered,
            "events": self.kept_events,
            **({"env": self.variables} if self.env else {}),
            **({AGAINST: True} if self.run and self.run.is_against else {}),
            **({"rotate": self.rotate} if self.rotate else {}),
            **{option.removeprefix("--").replace("-", "_"): value for option, value in self.limits.in_use.items()},
        }
