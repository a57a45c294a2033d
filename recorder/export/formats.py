"""The registry of export formats. To add a format, write a module with its writer, and add an entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Writer: TypeAlias = Callable[..., None]
"""write(connection, recording, out, progress); formats with takes_weight also take weight=. out: text or binary."""


def _chrome() -> Writer:
    from . import chrome

    return chrome.write


def _perfetto() -> Writer:
    from . import perfetto

    return perfetto.write


def _speedscope() -> Writer:
    from . import stacks

    return stacks.write_speedscope


def _folded() -> Writer:
    from . import stacks

    return stacks.write_folded


def _csv() -> Writer:
    from . import process_rows

    return process_rows.write_csv


def _ndjson() -> Writer:
    from . import process_rows

    return process_rows.write_ndjson


def _otlp() -> Writer:
    from . import otlp

    return otlp.write


@dataclass(frozen=True)
class Format:
    """An export format.

    name: the value of --to. description: for --help. load_writer: imports the format's module, and returns its writer;
    None for a format that is written into a folder (fleet/tree_export.py). is_binary: the output is not text, and must
    not go to a terminal. takes_weight: see stacks.WEIGHTS. packages: what it needs, by the names on PyPI.
    """

    name: str
    description: str
    load_writer: Callable[[], Writer] | None
    is_binary: bool = False
    takes_weight: bool = False
    packages: tuple[str, ...] = ()


_ALL = (
    Format("chrome", "Trace Event JSON", _chrome),
    Format("perfetto", "Perfetto's protobuf", _perfetto, is_binary=True, packages=("perfetto",)),
    Format("speedscope", "stacks of ancestors, as JSON", _speedscope, takes_weight=True),
    Format("folded", "stacks of ancestors, for flame graphs", _folded, takes_weight=True),
    Format("csv", "one row per process", _csv),
    Format("ndjson", "one line of JSON per process", _ndjson),
    Format("parquet", "all tables of all recordings, for DuckDB, ClickHouse or Spark", None, packages=("pyarrow",)),
    Format("otlp", "OpenTelemetry spans, as lines of JSON", _otlp),
)
FORMATS = {format.name: format for format in _ALL}
"""All formats by name."""
