"""The recording file: its tables, how they are written, read, checked, merged, upgraded and made again.

SQLite's home. Only importer of sqlite_utils. Its face: `recording_file.Store`, `write_queue.WriteQueue`, `reader`,
`verify`, `rebuild`, `merge`, `upgrade`, `file_check`, `atomic_file`.
"""
