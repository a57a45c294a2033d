"""The commands of webpf: they parse options, print text and set the exit code. Heavy modules are imported on use.

Its face: `app.run`.
"""
