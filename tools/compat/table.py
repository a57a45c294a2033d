"""Writes the results of the last runs into docs/compatibility.md.

python -m tools.compat.table
"""

from __future__ import annotations

import re

from tools.cache import PROJECT, Row, rows

DOCUMENT = PROJECT / "docs" / "compatibility.md"
BEGIN, END = "<!-- tools/compat/table.py: begin -->\n", "<!-- tools/compat/table.py: end -->\n"
COLUMNS = (
    "kernel", "distribution", "run", "BPF programs", "BCC", "Python", "SQLite", "passed", "failed", "skipped", "date",
)  # fmt: skip


def by_kernel(row: Row) -> tuple[list[int], str, str, str, str]:
    """A sort key: oldest kernel first, then oldest distribution."""
    version = [int(number) for number in re.findall(r"\d+", row["kernel"])]
    return version, row["machine"], row["distribution"], row["how"], row["programs"]


def cells(row: Row) -> list[str]:
    """Returns the cells of a row."""
    bcc = re.match(r"[\d.]*\d", row["bcc"])
    system = [f"{row['kernel']} {row['machine']}", row["distribution"], row["how"], row["programs"]]
    keys = ("python", "sqlite", "passed", "failed", "skipped", "date")
    return [*system, bcc[0] if bcc else row["bcc"], *(str(row[key]) for key in keys)]


def table(found: list[Row]) -> str:
    """Returns all rows as a Markdown table, and below it the failed and skipped tests with their reasons."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(cells(row) for row in sorted(found, key=by_kernel))]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for row in sorted(found, key=by_kernel):
        for outcome, tests in (("failed", row["failures"]), ("skipped", row["skips"])):
            for test, why in tests.items():
                system = f"{row['kernel']} {row['machine']} / {row['distribution']}"
                reasons.setdefault((outcome, test, why), []).append(system)
    if reasons:
        text += "\n"
    for (outcome, test, why), where in reasons.items():
        text += f"- `{test}` {outcome} on {', '.join(dict.fromkeys(where))}: {why}\n"
    return text


def write_table() -> None:
    """Replaces the table in the page; the text around it is written by hand."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(before + BEGIN + table(rows()) + END + after)


if __name__ == "__main__":
    write_table()
