"""Writes the results of `report`, `diff`, `tree`, `verify` and `doctor` as text, JSON or Markdown.

Its face: `json_document`, and a module for each result and format, such as `report_text` and `report_json`.
"""
