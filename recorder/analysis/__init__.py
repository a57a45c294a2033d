"""A recording being read: saved queries, the tree of processes, the report, comparisons, the timeline's data.

Its face: `saved_queries`, `process_tree`, `tree_view`, `report`, `command_summary`, `diff`,
`critical_path`, `timeline`.
"""
