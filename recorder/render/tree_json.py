"""The tree of processes as JSON: a flat list of branches, because parsers limit how deep objects may be nested."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..analysis.tree_view import Branch
from ..model.recording import Recording
from .json_document import Document, head, recording_value


def tree_document(
    file: Path, recording: Recording, branches: Iterable[Branch], top: int | None, left_out: int
) -> Document:
    """Returns the document of a tree. top: the id of the process at its top; None: all roots.

    left_out: how many idle processes are not in it.
    """
    return {
        **head("tree"),
        "recording": recording_value(file, recording),
        "top_id": top,
        "left_out": left_out if top is None else 0,
        "branches": map(_branch, branches),
    }


def _branch(branch: Branch) -> Document:
    first, lifetimes = branch.nodes[0], branch.lifetimes_ns
    return {
        "id": first.id,
        "parent_id": branch.parent_id,
        "level": branch.level,
        "process_ids": [node.id for node in branch.nodes],
        "hidden": branch.hidden,
        "program": first.program,
        "line": first.line,
        "lifetime_ns": sum(lifetimes) if lifetimes else None,
        "longest_ns": max(lifetimes, default=None),
        "cpu_ns": branch.cpu_ns,
        "exit_code": first.exit_code,
        "signal": first.signal,
        "state": first.state,
    }
