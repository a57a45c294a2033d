"""Writes the generated pages of docs/, and the end of docs/how-it-works.md.

tests/house/test_docs.py checks that they are current.
"""

from __future__ import annotations

import importlib
import inspect
import re

from tools.cache import PROJECT
from tools.docs import command_line, man_page
from webpf.analysis import query_header, saved_queries
from webpf.storage import data_dictionary, file_check, schema, sql_macros

DOCS = PROJECT / "docs"


def schema_page() -> str:
    """Returns docs/schema.md: tables with their columns, as the comments in the schema describe them."""
    lines = [
        "# Tables of a recording file",
        "",
        "Made from `recorder/storage/ddl.py` by `make docs`. Times are nanoseconds; unknown is NULL. Schema version"
        f" {file_check.SCHEMA_VERSION}, `application_id` 0x{file_check.APPLICATION_ID:08x}.",
    ]
    for table in data_dictionary.all_tables():
        lines += ["", f"## {table.name}", "", table.description, ""]
        if table.select:
            lines += ["A view of", "", "```sql", table.select, "```"]
            continue
        lines += ["| column | type | | |", "|---|---|---|---|"]
        lines += [f"| `{it.name}` | {it.type} | {_notes(it)} | {it.description} |" for it in table.columns]
    lines += ["", "## Indexes", ""]
    lines += [f"- `{statement}`" for statement in schema.STATEMENTS if statement.startswith("CREATE INDEX")]
    return "\n".join(lines) + "\n"


def queries_page() -> str:
    """Returns docs/queries.md: what each saved query answers, its parameters and its columns."""
    lines = [
        "# Saved queries",
        "",
        "Made from the files in `queries/` by `make docs`. `webpf query NAME` runs a query, `webpf query NAME --help`"
        " describes it, and `webpf query NAME --sql` prints its SQL. A new file in that folder is a new query.",
    ]
    for name in saved_queries.names():
        query = saved_queries.load(name)
        lines += ["", f"## {name}", "", query.description, ""]
        lines += [f"Theme: {query_header.THEMES[query.theme].lower()}.", ""]
        lines += ["| parameter | type | default | |", "|---|---|---|---|"]
        for parameter in query.parameters:
            default = parameter.default or parameter.presence
            lines.append(f"| `{parameter.name}` | {parameter.type} | {default} | {parameter.description} |")
        lines += ["", "| column | |", "|---|---|"]
        lines += [f"| `{column}` | {description} |" for column, description in query.columns.items()]
        lines += ["", f"Over a fleet (`--on`): {query_header.FLEET[query.fleet]}."]
        lines += ["", f"In a stretch of time (`--since`, `--until`): {query_header.SCOPE[query.scope]}."]
        lines += ["", "<details><summary>SQL</summary>", "", "```sql", query.sql, "```", "", "</details>"]
    lines += ["", "## Macros", "", *_macros()]
    return "\n".join(lines) + "\n"


def _macros() -> list[str]:
    example = '`webpf query execs --sql | sqlite3 -cmd ".parameter set :pid 1" webpf.db`'
    lines = [
        "Files in `queries/`, and the SQL in webpf's modules, write what many statements say as macros, from"
        " `recorder/storage/macro_texts.py` and `base_macros.py`. The SQL above, in Datasette and from `--sql` has"
        f" none: any program can run it, as {example} does. A parameter that isn't set has its default.",
        "",
        "| macro | stands for |",
        "|---|---|",
        "| `param!(name)` | the value of a parameter, of the type and with the default that the query's head states |",
    ]
    return lines + [f"| `{macro.call}` | {macro.description} |" for macro in sql_macros.MACROS.values()]


def how_it_works_page() -> str:
    """Returns docs/how-it-works.md with a new table of packages at its end, made from their docstrings."""
    text, mark, _ = (DOCS / "how-it-works.md").read_text(encoding="utf-8").partition(PACKAGES)
    folders = re.findall(r"^    ([a-z ]+)$", text[text.index("\n## Layers\n") :], re.MULTILINE)
    lines = [text.rstrip(), "", mark or PACKAGES, ""]
    for name in (name for names in folders for name in names.split()):
        about = (inspect.getdoc(importlib.import_module(f"webpf.{name}")) or "").replace("\n\n", " ").replace("\n", " ")
        lines.append(f"- **{name}**: {about}")
    return "\n".join(lines) + "\n"


PACKAGES = "What each is for, and its face to the others (made by `make docs`):"
PAGES = {
    DOCS / "schema.md": schema_page,
    DOCS / "queries.md": queries_page,
    DOCS / "how-it-works.md": how_it_works_page,
    DOCS / "cli.md": command_line.cli_page,
    DOCS / "webpf.1": man_page.page,
}


def _notes(column: data_dictionary.Column) -> str:
    notes = [
        "primary key" if column.is_key else "",
        "not null" if column.is_required else "",
        f"→ {column.references}" if column.references else "",
        "derived" if column.is_derived else "",
    ]
    return ", ".join(note for note in notes if note)


def main() -> None:
    """Writes all pages."""
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
