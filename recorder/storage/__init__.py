"""The recording file: its tables, how they are written, read, checked, merged and made again. SQLite's home.

Only importer of sqlite_utils. Its face: `recording_file.Store`, `write_queue.WriteQueue`, `reader`, `verify`,
`rebuild`, `merge`, `file_check`, `atomic_file`.
"""
