"""What `webpf verify` and `webpf doctor` found, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .json_document import Document, head, path_value, recording_value

if TYPE_CHECKING:
    from ..kernel.doctor import Check
    from ..storage.verify import Finding


def verify_document(file: Path, found: Iterable[Finding]) -> Document:
    """What verify found."""
    return {
        **head("verify"),
        "file": path_value(file),
        "findings": (
            {
                "recording": None if each.recording is None else recording_value(file, each.recording),
                "processes": None if each.recording is None else each.processes,
                "events": None if each.recording is None else each.events,
                "problems": each.problems,
            }
            for each in found
        ),
    }


def doctor_document(found: Iterable[Check]) -> Document:
    """What doctor found."""
    checks = [
        {
            "name": each.name,
            "ok": each.ok,
            "found": each.detail,
            "mend": each.fix if each.ok is False and each.fix else None,
        }
        for each in found
    ]
    return {**head("doctor"), "can_record": all(each["ok"] is not False for each in checks), "checks": iter(checks)}
