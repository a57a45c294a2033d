"""The recording file: its tables, and how webpf writes, reads, checks, merges, upgrades and rebuilds it.

This is the only package that imports sqlite_utils. Other packages use `recording_file.RecordingFile`,
`write_queue.WriteQueue`, `reader`, `verify`, `rebuild`, `merge`, `upgrade`, `file_check` and `atomic_file`.
"""
