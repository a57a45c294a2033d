"""The command `extract`, which writes a part of a file into a new file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from ..host.invocation import retry_at_home
from ..model.scope import EVERYTHING, Scope
from .options import Force
from .recording_choice import Db, File, choose
from .scope_options import takes_scope

if TYPE_CHECKING:
    from ..model.rewriting import Rewriting


Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", readable=False, help="The new file.")]
Recordings = Annotated[
    list[str] | None,
    typer.Option(
        "--recording",
        metavar="N|NAME",
        help="Only this recording, by number or name. Can be repeated. Default: all; with a scope the latest.",
    ),
]
RedactTexts = Annotated[
    list[str] | None,
    typer.Option("--redact", metavar="REGEX", help="Replace each match in all texts by ***. Can be repeated."),
]
RemoveArgs = Annotated[bool, typer.Option("--no-args", help="Leave out arguments, and keep only their length.")]
Anonymize = Annotated[
    bool,
    typer.Option("--anonymize", help="Replace users, hosts, paths and arguments by numbers, equal ones by equal ones."),
]


@takes_scope
def extract(
    output: Output,
    file: File = None,
    recording: Recordings = None,
    db: Db = None,
    scope: Scope = EVERYTHING,
    redact: RedactTexts = None,
    no_args: RemoveArgs = False,
    anonymize: Anonymize = False,
    force: Force = False,
) -> None:
    """Write a part of a file into a new file.

    Whole recordings are copied with all their rows. With options such as --since and --user, what is in this scope
    becomes one recording.
    """
    from ..output import units
    from ..output.messages import say
    from ..storage import atomic_file
    from ..storage import extract as extracting
    from .progress_bar import ProgressBar

    chosen = choose(file, db)
    if atomic_file.is_same_file(output, chosen.path):
        raise UsageError(f"{output} is the recording file itself", retry_at_home("-o", output.with_suffix(".part.db")))
    rewriting = _rewriting(redact or [], no_args, anonymize)
    wanted = [*([] if chosen.recording is None else [chosen.recording]), *(recording or [])]
    with ProgressBar("the extraction") as progress:
        done = extracting.extract(chosen.path, output, wanted, scope, rewriting, force, progress)
    if done.about is not None:
        say(done.about)
    numbers = f"recording{'s' * (len(done.recordings) > 1)} {', '.join(map(str, done.recordings))}"
    say(f"{output}: {numbers}, {done.processes:,} processes, {units.byte_size(output.stat().st_size)}")


def _rewriting(patterns: list[str], no_args: bool, anonymize: bool) -> Rewriting | None:
    """Returns what is done to texts; None if nothing is."""
    from ..model.anonymizing import Anonymizing
    from ..model.redaction import Redaction
    from ..model.rewriting import Redacting

    if anonymize and patterns:
        raise UsageError("--anonymize replaces what --redact would hide", "webpf extract --anonymize -o part.db")
    redaction = Redaction(no_args, patterns)
    return Anonymizing(no_args) if anonymize else Redacting(redaction) if redaction.active else None
