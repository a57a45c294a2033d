"""A recording being made: what is recorded, from the first look at /proc to the last event.

Its face: `recorder.record`, `session.Session`, `targets`, `plan`, `supervisor`, `redaction`, `stream`.
"""
