"""Results computed from a recording: saved queries, the process tree, reports, comparisons, timeline data.

Its face: `saved_queries`, `own_queries`, `process_tree`, `tree_view`, `report`, `command_summary`, `diff`,
`critical_path`, `timeline`.
"""
