"""Recordings of many machines as one tree of Parquet files, and saved queries over it in DuckDB, ClickHouse or Spark.

Its face: `tree` (the layout), `tree_export`, `tree_import`, `fleet_query.run`, `script`. The engines: `duckdb`,
`clickhouse`, `spark`; `translate` writes their SQL.
"""
