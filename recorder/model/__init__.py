"""What a recording consists of, and what follows from it: events, processes, pairing, command lines. Pure.

Only Python's standard library is needed here, no file, no clock and no kernel. Its face: `events`, `process.Process`,
`pairing.Pairing`, `argv.quote`, `json_lines`, `source.Source`.
"""
