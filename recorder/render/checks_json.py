"""The findings of `webpf verify` and the checks of `webpf doctor` as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .json_document import Document, head, path_value, recording_value

if TYPE_CHECKING:
    from ..kernel.doctor import Check
    from ..storage.verify import Finding


def verify_document(file: Path, findings: Iterable[Finding]) -> Document:
    """Returns the document of verify."""
    return {
        **head("verify"),
        "file": path_value(file),
        "findings": (
            {
                "chain": None if each.chain is None else each.chain.number,
                "segments": None if each.chain is None else [segment.id for segment in each.chain.segments],
                "recording": None if each.recording is None else recording_value(file, each.recording),
                "processes": None if each.recording is None else each.processes,
                "events": None if each.recording is None else each.events,
                "problems": each.problems,
                "not_checked": each.not_checked,
            }
            for each in findings
        ),
    }


def doctor_document(checks: Iterable[Check]) -> Document:
    """Returns the document of doctor."""
    values = [
        {
            "name": each.name,
            "ok": each.ok,
            "found": each.detail,
            "mend": each.fix if each.ok is False and each.fix else None,
        }
        for each in checks
    ]
    return {**head("doctor"), "can_record": all(each["ok"] is not False for each in values), "checks": iter(values)}
