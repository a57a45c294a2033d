"""The command `import`, which reads the Parquet files of many machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Force

Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="GLOB", help="Only machines with such names, as in 'web*'. Can be repeated."),
]


def import_tree(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", readable=False, help="Folder that `webpf export --to parquet` has written to."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", readable=False, help="The new file.")],
    hosts: Hosts = None,
    force: Force = False,
) -> None:
    """Make a recording file of Parquet files.

    The recordings get new numbers. They are as those of `webpf record --events none`: Parquet files have no raw events.
    """
    from ..host.optional_modules import needed
    from ..output.messages import say
    from .progress_bar import ProgressBar

    with needed("import", "pyarrow"):
        from ..fleet import part_reader, tree_import
    with ProgressBar("the import") as progress:
        imported = tree_import.import_tree(folder, output, hosts or (), force, progress)
    counted = f"{imported.recordings} recording{'s' * (imported.recordings != 1)}"
    say(f"{output}: {counted} of {part_reader.machines_of(imported.hosts)}, {imported.rows:,} rows")
