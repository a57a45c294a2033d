"""Exports of recordings in the formats of other tools.

Its face: `exporter`, `formats`. The formats: `chrome`, `perfetto`, `stacks`, `process_rows`, `otlp`.
"""
