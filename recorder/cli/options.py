"""The options that more than one command takes."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..model.durations import HELP as AS
from ..model.durations import METAVAR as TIME
from . import option_group, sizes
from .recording_choice import ENVIRONMENT


class Format(str, Enum):
    """The formats of rows."""

    table = "table"
    csv = "csv"
    json = "json"
    ndjson = "ndjson"


class TextFormat(str, Enum):
    """The formats of a result."""

    text = "text"
    json = "json"


class ReportFormat(str, Enum):
    """The formats of a result that can also be a comment on a pull request."""

    text = "text"
    json = "json"
    markdown = "markdown"


class KeptEvents(str, Enum):
    """Which raw events are written."""

    all = "all"
    none = "none"


CommandLine = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND", help="Command to record. Default: the whole machine."),
]
Pid = Annotated[
    int | None, typer.Option("--pid", metavar="N", help="Record process N and all that it starts from now on.")
]
All = Annotated[bool, typer.Option("--all", help="With a command: record the whole machine while it runs.")]
AsRoot = Annotated[
    bool, typer.Option("--as-root", help="Under sudo: run the command as root, not as the user who called sudo.")
]
OwnCgroup = Annotated[
    bool, typer.Option("--own-cgroup", help="With a command: run it in a new cgroup, and record all processes in it.")
]
OldOwnCgroup = Annotated[bool, typer.Option("--cgroup", hidden=True)]  # what --own-cgroup was called at first
Users = Annotated[
    list[str] | None,
    typer.Option("--user", "--uid", metavar="USER", help="Record only processes of this user. Can be repeated."),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--comm", metavar="NAME", help="Record only processes with this name. Can be repeated."),
]
MinLifetime = Annotated[
    str | None,
    typer.Option("--min-lifetime", metavar=TIME, help="Don't keep processes that lived less than TIME, such as 250ms."),
]
Events = Annotated[
    KeptEvents | None,
    typer.Option(
        "--events",
        help="none: write no forks, exits and frees, only the processes made from them. The file is about half as"
        " large, but webpf rebuild can't work on it, and webpf verify checks less. Default: all; none with --rotate.",
    ),
]
Rotate = Annotated[
    str | None,
    typer.Option(
        "--rotate",
        metavar=TIME,
        help="Go on in a new recording every TIME, such as 1h, so that old ones can be deleted. Processes that are"
        " alive then are in both.",
    ),
]
Keep = Annotated[
    str | None,
    typer.Option("--keep", metavar=TIME, help="Delete what was recorded longer ago than TIME, such as 7d."),
]
MaxSize = Annotated[
    str | None,
    typer.Option(
        "--max-size",
        metavar="SIZE",
        help="Delete the oldest recordings of the chain, so that the file with its log stays below SIZE, such as 2GiB.",
    ),
]
KeepFree = Annotated[
    str | None,
    typer.Option(
        "--keep-free",
        metavar="SIZE|N%",
        help="Delete the oldest recordings of the chain, so that so much of the file system stays free, such as 5%."
        " Writing pauses if that isn't enough.",
    ),
]
takes_limits = option_group.takes(
    "limits",
    [
        option_group.option("keep", Keep),
        option_group.option("max_size", MaxSize),
        option_group.option("keep_free", KeepFree),
    ],
    lambda given: sizes.parse_limits(**given),
)
"""Gives a command these three options. The command has a parameter `limits` of the type Limits for all of them."""
Name = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Name of the recording.")]
Metrics = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="[ADDR:]PORT",
        help="Serve numbers to Prometheus while it records. Default address: 127.0.0.1.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only check that the BPF programs load and attach here, then exit.")
]
# file_check.py checks whether it can be written: its messages say more than Typer's.
NewDb = Annotated[
    Path, typer.Option("--db", metavar="FILE", envvar=ENVIRONMENT, readable=False, help="File to record into.")
]
Mode = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="OCTAL",
        help="Permissions of the file and of the files beside it, such as 0640 for readers in its group."
        " Default: 0600 for a new file; an existing one keeps what it has.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")]
Duration = Annotated[
    str | None, typer.Option("--duration", metavar=TIME, help=f"Stop after TIME, {AS}. Default: at Ctrl-C.")
]
BufferMib = Annotated[
    int, typer.Option("--buffer-mib", metavar="MIB", help="Size of the kernel's buffer in MiB, a power of two.")
]
MaxArgs = Annotated[
    int, typer.Option("--max-args", metavar="BYTES", help="Keep at most this many bytes of the arguments of each exec.")
]
NoArgs = Annotated[bool, typer.Option("--no-args", help="Don't keep arguments, only their length.")]
Full = Annotated[
    bool,
    typer.Option("--full", help="Print all values, so that webpf replay can make a recording from them."),
]
Redact = Annotated[
    list[str] | None,
    typer.Option("--redact", metavar="REGEX", help="Replace each match in arguments by ***. Can be repeated."),
]
Env = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        metavar="NAME",
        help="Keep this environment variable of each program. --redact holds for NAME=value too. Can be repeated.",
    ),
]
Program = Annotated[
    Path | None,
    typer.Option(
        "--program",
        metavar="FILE",
        readable=False,
        help="Load BPF programs that webpf compile wrote. Default: $WEBPF_PROGRAM, the package, the cache, or BCC.",
    ),
]
RowFormat = Annotated[
    Format,
    typer.Option(
        "--format",
        help="How to write the rows. json and ndjson are exact; csv puts a ' before what a spreadsheet takes for a"
        " formula.",
    ),
]
AsText = Annotated[TextFormat, typer.Option("--format", help="How to write the result. docs/json.md describes json.")]
AsReport = Annotated[
    ReportFormat,
    typer.Option(
        "--format", help="How to write the result. docs/json.md describes json; markdown fits into a comment on GitHub."
    ),
]
