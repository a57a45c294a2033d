"""The command line: options in, text and exit code out. Heavy modules are imported where they are used.

Its face: `app.run`.
"""
