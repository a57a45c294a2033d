"""Writes docs/schema.md and docs/queries.md from the schema and the saved queries. tests/test_docs.py checks them."""

from __future__ import annotations

import re
from pathlib import Path

from webpf import catalog, dbfile, schema

HERE = Path(__file__).parent

_COLUMN = re.compile(r"^    (?P<name>[a-z_]+) (?P<type>INTEGER|TEXT|BLOB)(?P<rest>.*)$")


def schema_page() -> str:
    """docs/schema.md: tables with their columns, as the comments in the schema describe them."""
    lines = [
        "# Tables of a recording file",
        "",
        "Made from `recorder/tables.py` by `make docs`. Times are nanoseconds; unknown is NULL. Schema version"
        f" {dbfile.SCHEMA_VERSION}, `application_id` 0x{dbfile.APPLICATION_ID:08x}.",
    ]
    for statement in schema.STATEMENTS:
        head = re.search(r"^-- (?P<doc>.*)\nCREATE (?P<kind>TABLE|VIEW) (?P<name>\w+)", statement, re.MULTILINE)
        if head:
            lines += ["", f"## {head['name']}", "", head["doc"], ""]
            lines += _columns(statement) if head["kind"] == "TABLE" else ["A view of", *_view(statement)]
    lines += ["", "## Indexes", ""]
    lines += [f"- `{statement}`" for statement in schema.STATEMENTS if statement.startswith("CREATE INDEX")]
    return "\n".join(lines) + "\n"


def queries_page() -> str:
    """docs/queries.md: what each saved query answers, takes and returns."""
    lines = [
        "# Saved queries",
        "",
        "Made from the heads of the files in `queries/` by `make docs`. `webpf query NAME` runs one; one more file in"
        " that folder is one more query.",
    ]
    for name in catalog.names():
        query = catalog.load(name)
        lines += ["", f"## {name}", "", query.description, ""]
        lines += ["| parameter | type | default | |", "|---|---|---|---|"]
        for parameter in query.parameters:
            default = "must be given" if parameter.required else parameter.default or ""
            lines.append(f"| `{parameter.name}` | {parameter.type} | {default} | {parameter.description} |")
        lines += ["", "| column | |", "|---|---|"]
        lines += [f"| `{column}` | {description} |" for column, description in query.columns.items()]
    return "\n".join(lines) + "\n"


PAGES = {HERE / "schema.md": schema_page, HERE / "queries.md": queries_page}


def _columns(statement: str) -> list[str]:
    rows: list[list[str]] = []
    for line in statement.splitlines():
        code, _, comment = line.partition("-- ")
        match = _COLUMN.match(code)
        if match:
            rows.append([match["name"], match["type"], _notes(match["rest"]), comment.strip()])
        elif rows and comment and line.startswith("        "):
            rows[-1][3] = f"{rows[-1][3]} {comment.strip()}".strip()
    lines = ["| column | type | | |", "|---|---|---|---|"]
    return lines + [f"| `{name}` | {type_} | {notes} | {doc} |" for name, type_, notes, doc in rows]


def _notes(rest: str) -> str:
    reference = re.search(r"REFERENCES (\w+)", rest)
    notes = [
        "primary key" if "PRIMARY KEY" in rest else "",
        "not null" if "NOT NULL" in rest else "",
        f"→ {reference[1]}" if reference else "",
        "derived" if "GENERATED" in rest else "",
    ]
    return ", ".join(note for note in notes if note)


def _view(statement: str) -> list[str]:
    return ["", "```sql", statement[statement.index("SELECT") :].strip(), "```"]


def main() -> None:
    """Writes all pages."""
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
