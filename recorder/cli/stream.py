"""The command `stream`."""

from __future__ import annotations

import sys

from ..capture.record_options import RecordOptions
from ..host.invocation import sudo_command
from ..model import durations
from .options import BufferMib, Duration, Env, Full, MaxArgs, NoArgs, Program, Redact
from .verbose import VerboseCommand

COMMAND_SETTINGS = {"cls": VerboseCommand}


def stream(
    duration: Duration = None,
    buffer_mib: BufferMib = RecordOptions.buffer_mib,
    max_args: MaxArgs = RecordOptions.max_args,
    no_args: NoArgs = False,
    redact: Redact = None,
    env: Env = None,
    full: Full = False,
    program: Program = None,
) -> None:
    """Print events as JSON lines as they happen.

    The events are forks (F), execs (X) and exits (E) of all processes. Needs root or capabilities.
    """
    seconds = durations.parse("--duration", duration, "stream")
    options = RecordOptions(
        duration=seconds, buffer_mib=buffer_mib, max_args=max_args, no_args=no_args,
        redact=tuple(redact or ()), env=tuple(env or ()), program=program,
    )  # fmt: skip
    options.validate()
    from ..kernel import preflight

    preflight.check_machine(sudo_command(), program)
    from ..capture import privileges
    from ..capture import stream as streaming
    from ..output.messages import say
    from . import live_status

    observer = live_status.StreamStatus(options)
    plan = privileges.find_plan()
    if full:
        lost = streaming.stream_fully(sys.stdout.fileno(), options, observer, plan)
    else:
        lost = streaming.stream(sys.stdout.fileno(), options, lambda: observer.started(0, 0), plan)
    if lost:
        say(f"LOST {lost:,} events: they came faster than they were read; a larger --buffer-mib helps")
