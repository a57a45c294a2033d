"""The commands `verify`, `rebuild`, `compact`, `merge` and `doctor`, for files and the machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DataError, NoPermission, Unavailable
from ..host.invocation import sudo_command
from ..model import argv
from . import upgrade
from .options import AsText, Force, TextFormat
from .output_spool import spooled
from .recording_choice import Db, File, RecordingOrAll, WholeFile, choose, choose_file

if TYPE_CHECKING:
    from ..storage.verify import Finding


def rebuild(file: File = None, recording: RecordingOrAll = None, db: Db = None) -> None:
    """Rebuild the rows of processes from events.

    Use it if `webpf verify` says that the rows don't follow from the events.
    """
    from ..output.messages import say
    from ..storage import rebuild as rebuilding
    from .progress_bar import ProgressBar

    chosen = choose(file, db, recording)
    upgrade.before_writing(chosen.path)
    with ProgressBar("the rebuild") as progress:
        rebuilt = rebuilding.rebuild(chosen.path, chosen.recording, progress)
    for number, processes in rebuilt.items():
        done = "unchanged, it has no raw events" if processes is None else f"{processes:,} processes rebuilt"
        say(f"recording {number}: {done}")


def compact(file: File = None, recording: RecordingOrAll = None, db: Db = None) -> None:
    """Drop raw events to make a file smaller.

    They are the forks, exits and frees. Every query, report and export shows the same without them. But webpf rebuild
    can't work on the recording any more, and webpf verify checks less: run that first.
    """
    from ..output import units
    from ..output.messages import say
    from ..storage import compact as compacting
    from .progress_bar import ProgressBar

    chosen = choose(file, db, recording)
    upgrade.before_writing(chosen.path)
    with ProgressBar("the compaction", outcome="run it again to drop what is left") as progress:
        done = compacting.compact(chosen.path, chosen.recording, progress)
    sizes = f"{units.byte_size(done.bytes_before)} before, {units.byte_size(done.bytes_after)} now"
    unchanged = "".join(f"; recording {number} goes on, so it is unchanged" for number in done.going_on)
    which = chosen.path if chosen.recording is None else f"recording {done.recordings[0]} of {chosen.path}"
    say(f"{which}: {done.events:,} raw events dropped; {sizes}{unchanged}")


def verify(
    file: File = None, recording: RecordingOrAll = None, db: Db = None, format: AsText = TextFormat.text
) -> None:
    """Check that a file is sound and complete.

    Runs SQLite's integrity check, compares event counts, and checks that the process rows follow from the events.
    """
    from ..output.messages import write_lines
    from ..render import checks_json, checks_text, json_document
    from ..storage import verify as verifying
    from .progress_bar import ProgressBar

    chosen = choose(file, db, recording)
    problems: list[str] = []
    is_json = format is TextFormat.json
    with ProgressBar("the verification") as progress, spooled(sys.stdout, whole=is_json) as output:

        def findings() -> Iterator[Finding]:
            for finding in verifying.verify(chosen.path, progress, chosen.recording):
                progress.clear()
                problems.extend(finding.problems)
                yield finding

        if is_json:
            json_document.write(checks_json.verify_document(chosen.path, findings()), output)
        else:
            for finding in findings():
                write_lines(checks_text.finding_lines(finding), output)
                output.flush()
    if problems:
        is_mendable = all(each.startswith("pairing") for each in problems)
        mending = f"webpf rebuild --db {argv.file_word(chosen.path)}" if is_mendable else ""
        raise DataError(f"{chosen.path} is not what it should be, in {len(problems)} ways", mending)


def doctor(file: WholeFile = None, db: Db = None, format: AsText = TextFormat.text) -> None:
    """Check whether this machine can record.

    Lists what it has, what it lacks, and the command that mends it.
    """
    from ..kernel import doctor as examination
    from ..output.messages import write_lines
    from ..render import checks_json, checks_text, json_document

    checks = examination.examine(choose_file(file, db), sudo_command(["record", "--dry-run"]))
    if format is TextFormat.json:
        json_document.write(checks_json.doctor_document(checks), sys.stdout)
    else:
        write_lines(line for check in checks for line in checks_text.check_lines(check))
    missing = [check.name for check in checks if check.ok is False]
    if missing:
        raise typer.Exit((NoPermission if missing == ["privileges"] else Unavailable).exit_code)


def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", readable=False, help="Recording files to join.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", readable=False, help="The new file.")],
    force: Force = False,
) -> None:
    """Join several files into a new one.

    The files can come from several machines. Their recordings get new numbers.
    """
    from ..output.messages import say
    from ..storage import merge as merging
    from .progress_bar import ProgressBar

    with ProgressBar("the merge") as progress:
        merged = merging.merge(files, output, force, progress)
    for source, numbers in merged.items():
        say(f"{source}: now recording {', '.join(map(str, numbers))} of {output}")
