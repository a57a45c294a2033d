"""The contents of a recording: events, processes, how events are paired into processes, command lines. Pure.

It uses only Python's standard library, and no files, clock or kernel. Its face: `events`, `process.Process`,
`pairing.Pairing`, `argv.quote`, `json_lines`, `event_source.Source`.
"""
