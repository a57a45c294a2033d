"""Names and paths of the service that `webpf service install` makes."""

from __future__ import annotations

from pathlib import Path

UNIT = "webpf.service"
"""Its name in systemd."""

UNIT_FILE = Path("/etc/systemd/system") / UNIT
USER = "webpf"
"""The user that records, and the group whose members can read the file."""

FOLDER = Path("/var/lib/webpf")
DB = FOLDER / "webpf.db"
