"""The command `upgrade`, and the upgrade of a small file before a command writes to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..host.paths import exists
from .options import Force
from .recording_choice import Db, WholeFile, choose_file

_Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", readable=False, help="Write a new file, and leave the old one unchanged."
    ),
]


def upgrade(file: WholeFile = None, db: Db = None, output: _Output = None, force: Force = False) -> None:
    """Upgrade a file of an older webpf version.

    The upgraded file replaces the old one when it is complete. Until then the old file stays unchanged.
    """
    from ..output.messages import say
    from ..storage import upgrade as upgrading
    from ..storage.file_check import SCHEMA_VERSION
    from .progress_bar import ProgressBar

    path = choose_file(file, db)
    with ProgressBar("the upgrade") as progress:
        before = upgrading.upgrade(path, output, force, progress)
    if before is None:
        say(f"{path} is current already (schema {SCHEMA_VERSION})")
    elif output is None:
        say(_done(path, before))
    else:
        say(f"{output} is {path}, upgraded from schema {before} to schema {SCHEMA_VERSION}")


def before_writing(db: Path, quiet: bool = False) -> None:
    """Upgrades a small file of an older version before a command writes to it. Raises DataError for a large one."""
    if not exists(db):  # a new file needs none of what follows, which would delay the first event
        return
    from ..output.messages import say
    from ..storage import upgrade as upgrading
    from .progress_bar import ProgressBar

    with ProgressBar("the upgrade") as progress:
        before = upgrading.upgrade_if_small(db, progress)
    if before is not None and not quiet:
        say(_done(db, before))


def _done(file: Path, before: int) -> str:
    from ..storage.file_check import SCHEMA_VERSION

    return f"{file} is upgraded from schema {before} to schema {SCHEMA_VERSION}"
