"""Options that several commands share, as Typer reads them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Format(str, Enum):
    """How rows are written."""

    table = "table"
    csv = "csv"
    json = "json"
    ndjson = "ndjson"


Db = Annotated[Path, typer.Option("--db", envvar="WEBPF_DB", help="Recording file.", show_default=True)]
Recording = Annotated[int | None, typer.Option("--recording", metavar="ID", help="Recording; default: the latest.")]
Duration = Annotated[
    float | None, typer.Option("--duration", metavar="SECONDS", help="Stop after so long; default: at Ctrl-C.")
]
BufferMib = Annotated[
    int, typer.Option("--buffer-mib", metavar="MIB", help="Size of the kernel's buffer; a power of two.")
]
MaxArgs = Annotated[
    int, typer.Option("--max-args", metavar="BYTES", help="How much is kept of the arguments of one exec.")
]
RowFormat = Annotated[Format, typer.Option("--format", help="How the rows are written.")]
DEFAULT_DB = Path("webpf.db")
