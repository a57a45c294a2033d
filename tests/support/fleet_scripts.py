"""Runs the SQL that webpf prints for a fleet, where webpf is not."""

from __future__ import annotations

from pathlib import Path

import duckdb


def statements(script: str) -> list[str]:
    """Returns the statements of a script, each with the comments before it."""
    assert script.endswith(";\n\n")
    return script.removesuffix(";\n\n").split(";\n\n")


def run_in_duckdb(script: str, folder: Path) -> list[list[tuple[object, ...]]]:
    """Returns the rows of each query of a script, in a fresh database."""
    with duckdb.connect() as connection:
        connection.execute(f"SET file_search_path = '{folder}'")
        made = [(each, connection.execute(each).fetchall()) for each in statements(script)]
        return [rows for each, rows in made if "SELECT" in each and "CREATE" not in each]
