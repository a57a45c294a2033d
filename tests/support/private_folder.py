"""A folder that nobody but root (or this user) can write to, nor replace: what webpf loads BPF programs from."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_folder() -> Iterator[Path]:
    """Made, and removed at the end. Not below /tmp, which is everybody's."""
    base = "/var/cache" if os.geteuid() == 0 else str(Path.home())
    folder = Path(tempfile.mkdtemp(prefix="webpf-test-", dir=base))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
