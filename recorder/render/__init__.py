"""Results of `report`, `diff`, `tree`, `verify` and `doctor` written as text, JSON or Markdown.

Its face: a module for each result and format, as `report_text`, `report_json` and `report_markdown`; `json_document`.
"""
