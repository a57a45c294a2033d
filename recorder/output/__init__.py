"""Text for people: messages, rows as a table, CSV or JSON, labels of processes, units, escaping of control characters.

Its face: `messages`, `row_formats`, `table`, `units`, `escape`, `command_label`.
"""
