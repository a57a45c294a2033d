"""Recordings in other tools' formats.

Its face: `formats`; each format is a module of its own: `chrome`, `perfetto`, `stacks`, `otlp`, `parquet`.
"""
