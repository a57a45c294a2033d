"""The saved queries: one file each. recorder/analysis/saved_queries.py reads them."""
