"""The YAML that tells a Datasette without the plugin what the plugin would."""

from __future__ import annotations

from pathlib import Path

import yaml

from ..storage import file_check
from . import metadata


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such, so that SQL can be read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def render(db: Path) -> str:
    """Metadata and configuration for a file of this name, which need not be there yet. Raises DataError."""
    if db.exists():
        file_check.check_readable(db)
    lines = (
        "# What Datasette is to know of recordings by webpf. With 0.65: datasette -m FILE; with 1.0: -m FILE -c FILE.\n"
    )
    return lines + yaml.dump(
        metadata.full_config(db.stem), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120
    )
