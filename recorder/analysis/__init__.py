"""A recording being read: saved queries, the tree of processes, the report, differences, the timeline's data.

Its face: `saved_queries`, `process_tree`, `tree_view`, `report`, `diff`, `critical_path`, `timeline`.
"""
