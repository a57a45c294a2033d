"""The commands about the BPF programs: options in, text and exit code out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import NoPermission
from ..host.invocation import sudo_command
from .options import Force


def compile_programs(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", readable=False, help="The new file.")],
    force: Force = False,
) -> None:
    """Compile the BPF programs into a file.

    The file loads on every kernel and processor of the same byte order, without BCC. To write it
    needs BCC, and root or capabilities.
    """
    from ..kernel import compiler, preflight
    from ..output.messages import say
    from ..storage import atomic_file

    if not preflight.has_privileges():
        message = "compiling needs root (or CAP_BPF and CAP_PERFMON), because BCC creates the maps too"
        raise NoPermission(message, sudo_command())
    with atomic_file.open_output(output, force) as out:
        content, compiled = compiler.compile_programs()
        out.write(content)
        if not atomic_file.is_stream(output):
            os.fchmod(out.fileno(), 0o644)
    say(f"{output}: {len(content):,} bytes, compiled by BCC {compiled.bcc_version} for {compiled.byte_order}-endian")


def program() -> None:
    """Print the BPF programs as they run here.

    As C: the source with this kernel's offsets, the maps, the tracepoints, and how to look at them with bpftool.
    """
    from ..kernel import listing
    from .output_spool import spooled

    with spooled(sys.stdout) as output:
        output.writelines(f"{line}\n" for line in listing.lines())
