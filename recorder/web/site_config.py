"""`webpf datasette-config`: YAML with what the plugin adds, for a Datasette without the plugin."""

from __future__ import annotations

from pathlib import Path

import yaml

from ..storage import file_check
from . import metadata


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, so that SQL stays readable."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def render(db: Path) -> str:
    """Returns metadata and configuration for a file with this name. The file need not exist. Raises DataError."""
    if db.exists():
        file_check.check_readable(db)
    comment = "# Metadata and queries for webpf recordings. Datasette 0.65: datasette -m FILE; 1.0: -m FILE -c FILE.\n"
    return comment + yaml.dump(
        metadata.full_config(db.stem), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120
    )
