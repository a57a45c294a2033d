"""Text for people: messages, rows as a table, CSV or JSON, names of processes, characters that are safe to show.

Its face: `messages`, `rows`, `table`, `units`, `escape`, `command_label`.
"""
