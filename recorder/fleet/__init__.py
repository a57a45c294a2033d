"""Recordings of many machines as one tree of Parquet files, which DuckDB, ClickHouse and Spark read.

Its face: `tree` (the layout), `tree_export`, `tree_import`.
"""
