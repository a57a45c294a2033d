"""Text for people: messages, rows as a table, CSV or JSON, names of processes, characters that are safe to show.

Its face: `terminal`, `table`, `escape`, `command_label`.
"""
