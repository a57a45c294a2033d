"""The formats that a recording can be exported to: a new one is a module that writes it, and an entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..model.recording import Recording

Writer: TypeAlias = Callable[..., None]
"""write(connection, recording, out, work), and weight= for a format that takes one. out: text or binary."""


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


def _parquet() -> Writer:
    from . import parquet

    return parquet.write


def _otlp() -> Writer:
    from . import otlp

    return otlp.write


def _parquet_path(recording: Recording) -> Path:
    from . import parquet

    return parquet.path_in_folder(recording)


@dataclass(frozen=True)
class Format:
    """A format. description: for --help. load: imports what is needed, and returns what writes it.

    is_binary: it is no text, and nothing for a terminal. takes_weight: see stacks.WEIGHTS. package: of the Python
    index, which it needs besides. place: for a format that goes into a folder, the path of a recording's file in it.
    """

    name: str
    description: str
    load_writer: Callable[[], Writer]
    is_binary: bool = False
    takes_weight: bool = False
    package: str | None = None
    path_in_folder: Callable[[Recording], Path] | None = None


_ALL = (
    Format("chrome", "Trace Event JSON", _chrome),
    Format("perfetto", "Perfetto's protobuf", _perfetto, is_binary=True, package="perfetto"),
    Format("speedscope", "stacks by ancestry, as JSON", _speedscope, takes_weight=True),
    Format("folded", "the same for flame graphs", _folded, takes_weight=True),
    Format("csv", "a row for each process", _csv),
    Format("ndjson", "the same as lines of JSON", _ndjson),
    Format("parquet", "the same for DuckDB or Spark", _parquet, True, package="pyarrow", path_in_folder=_parquet_path),
    Format("otlp", "OpenTelemetry spans, as lines of JSON", _otlp),
)
FORMATS = {format.name: format for format in _ALL}
"""By name."""
