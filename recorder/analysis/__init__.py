"""Results computed from a recording: saved queries, the process tree, reports, comparisons, timelines, what ends now.

Its face: `saved_queries`, `own_queries`, `process_tree`, `tree_view`, `report`, `command_summary`, `diff`,
`critical_path`, `timeline`, `follow`.
"""
