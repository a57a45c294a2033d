"""The options that more than one command takes."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .durations import HELP as AS
from .durations import METAVAR as TIME
from .recording_choice import ENVIRONMENT


class Format(str, Enum):
    """How rows are written."""

    table = "table"
    csv = "csv"
    json = "json"
    ndjson = "ndjson"


class TextFormat(str, Enum):
    """How a result is written."""

    text = "text"
    json = "json"


class ReportFormat(str, Enum):
    """How a result is written that may also go into a pull request."""

    text = "text"
    json = "json"
    markdown = "markdown"


Pid = Annotated[
    int | None, typer.Option("--pid", metavar="N", help="Record this process and what it starts from now on.")
]
All = Annotated[bool, typer.Option("--all", help="With a command: record the whole machine meanwhile.")]
AsRoot = Annotated[
    bool, typer.Option("--as-root", help="Under sudo: run the command as root, not as the user behind sudo.")
]
OwnCgroup = Annotated[
    bool, typer.Option("--own-cgroup", help="With a command: record all that gets into a cgroup made for it.")
]
OldOwnCgroup = Annotated[bool, typer.Option("--cgroup", hidden=True)]  # what --own-cgroup was called at first
Users = Annotated[
    list[str] | None,
    typer.Option("--user", "--uid", metavar="USER", help="Only processes of this user; may be given again."),
]
Names = Annotated[
    list[str] | None, typer.Option("--comm", metavar="NAME", help="Only processes of this name; may be given again.")
]
MinLifetime = Annotated[
    str | None,
    typer.Option("--min-lifetime", metavar=TIME, help=f"Don't keep processes that lived less than TIME, {AS}."),
]
Name = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="A name for the recording.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Compile, load and attach, then exit: can this machine record?")
]
# Whether it can be written is said in file_check.py: Typer's own check says less.
NewDb = Annotated[
    Path, typer.Option("--db", metavar="FILE", envvar=ENVIRONMENT, readable=False, help="Recording file.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")]
Duration = Annotated[
    str | None, typer.Option("--duration", metavar=TIME, help=f"Stop after TIME, {AS}; default: at Ctrl-C.")
]
BufferMib = Annotated[
    int, typer.Option("--buffer-mib", metavar="MIB", help="Size of the kernel's buffer; a power of two.")
]
MaxArgs = Annotated[
    int, typer.Option("--max-args", metavar="BYTES", help="How much is kept of the arguments of one exec.")
]
NoArgs = Annotated[bool, typer.Option("--no-args", help="Keep no arguments at all, only their length.")]
Full = Annotated[
    bool,
    typer.Option("--full", help="Print all that a recording holds, so that webpf replay can make one of it."),
]
Redact = Annotated[
    list[str] | None,
    typer.Option("--redact", metavar="REGEX", help="Write *** for what this matches in arguments; may be given again."),
]
RowFormat = Annotated[
    Format,
    typer.Option(
        "--format",
        help="How the rows are written. csv is safe for spreadsheets (a ' before = + - @), json and ndjson are exact.",
    ),
]
AsText = Annotated[TextFormat, typer.Option("--format", help="How the result is written. docs/json.md describes json.")]
AsReport = Annotated[
    ReportFormat,
    typer.Option(
        "--format", help="How the result is written. docs/json.md describes json; markdown is for a comment on GitHub."
    ),
]
