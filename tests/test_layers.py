"""The house: imports go one way, each third party has one door, modules and functions stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from support import PROJECT

RECORDER = PROJECT / "recorder"
PATHS = {
    path.parent.name if path.name == "__init__.py" and path.parent != RECORDER else path.stem: path
    for path in RECORDER.rglob("*.py")
}
MODULES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in PATHS.items()}

# From the ground up. A module may import from the layers below its own, never beside or above.
LAYERS = (
    {"__init__"},
    {
        "errors",
        "events",
        "clock",
        "bulk",
        "sqlite_library",
        "bounded",
        "syscalls",
        "inherited",
        "channel",
        "stopsignal",
        "ordering",
    },
    {"argv", "standard_streams", "durations", "usage", "pipewriter", "process", "launch", "resource_limits"},
    {"invocation", "work", "limits", "options", "lateparents"},
    {"spool", "ownership", "safety", "tables", "totals", "launchers"},
    {"dbfile", "newfile", "lock_holders", "known"},
    {
        "invoker",
        "peers",
        "jsonlines",
        "dictionary",
        "cells",
        "soundness",
        "lifetimes",
        "records",
        "btf",
        "bcclib",
        "activity",
        "cgroups",
        "filters",
        "directories",
        "file_watch",
        "incidents",
        "titles",
        "table",
    },
    {"command", "machine", "source", "ring", "procfs", "schema", "terminal", "rows", "opening", "lookup_worker"},
    {"browser", "liveness", "facts", "redaction", "lasting", "runcgroup", "supervisor", "path_lookup", "lastlook"},
    {"recording_writer"},
    {"probe", "store", "reader", "target"},
    {"attempts", "catalog"},
    {"write_queue", "places", "view", "merge", "rebuild", "verify", "doctor", "stream"},
    {"session"},
    {"incident_log", "recorder_columns"},
    {"record"},
    {"family", "pidowner", "slices", "progress", "longwork", "describe", "served", "gate"},
    {"display"},
    {"aim", "analysis", "tree", "ending", "perfettotrace", "otlp", "parquetfile", "chrometrace", "stacks", "timeline"},
    {"readers"},
    {"difference", "report", "export", "access", "server"},
    {"diff", "viewer"},
    {"pages"},
    {"web"},
    {"siteconfig", "browse"},
    {"webcli", "recordcli", "exportcli", "diffcli", "treecli"},
    {"cli"},
    {"__main__"},
)
DOORS = {
    "typer": {"cli", "webcli", "recordcli", "exportcli", "diffcli", "treecli", "options"},
    "rich": {"table", "progress", "longwork"},
    "sqlite_utils": {"schema", "store"},
    "sqlite3": {
        *("merge", "ending", "family", "slices", "chrometrace", "stacks", "export", "report", "diff"),
        *("timeline", "perfettotrace", "otlp", "parquetfile", "pidowner"),
        *("work", "longwork", "bulk", "store", "recording_writer", "attempts", "totals", "facts", "catalog", "reader"),
        *("verify", "recorder_columns", "doctor", "soundness", "opening", "sqlite_library"),
    },
    "datasette": {"web", "pages", "access", "viewer", "served", "server"},
    "uvicorn": {"server"},
    "perfetto": {"perfettotrace"},
    "pyarrow": {"parquetfile"},
    "yaml": {"siteconfig"},
    "click": set[str](),
    "bcc": set[str](),  # bcclib loads it by path, probe uses it
}
LIGHT = {
    "cli",
    "webcli",
    "recordcli",
    "exportcli",
    "diffcli",
    "treecli",
    "__main__",
    "__init__",
    "errors",
    "argv",
    "bounded",
    "limits",
    "options",
    "invocation",
    "standard_streams",
    "inherited",
    "durations",
}  # what `webpf --version` imports


def imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Top-level package or sibling module that is imported, and whether it is a sibling."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name.partition(".")[0], False) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0], False
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, True
        elif isinstance(node, ast.ImportFrom):
            yield from ((name.name, True) for name in node.names if name.name in MODULES)


def layer(module: str) -> int:
    """How high a module is."""
    return next(height for height, names in enumerate(LAYERS) if module in names)


def test_every_module_has_a_layer() -> None:
    assert set(MODULES) == set().union(*LAYERS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module: str) -> None:
    for name, is_sibling in imports(MODULES[module]):
        if is_sibling:
            assert layer(name) < layer(module), f"{module} imports {name}, which is not below it"


@pytest.mark.parametrize("package", sorted(DOORS))
def test_each_third_party_has_one_door(package: str) -> None:
    users = {module for module, tree in MODULES.items() if (package, False) in set(imports(tree))}
    assert users <= DOORS[package]


@pytest.mark.parametrize("module", sorted(LIGHT))
def test_the_command_line_starts_without_heavy_imports(module: str) -> None:
    """Imports at the top of these modules are of the standard library, typer, and each other."""
    for node in MODULES[module].body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, is_sibling in imports(ast.Module([node], [])):
                assert name in LIGHT if is_sibling else name not in DOORS or name == "typer"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_and_functions_stay_small(module: str) -> None:
    path = PATHS[module]
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 42, f"{module}.{node.name} is long"


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"__main__"}))
def test_what_is_public_is_documented(module: str) -> None:
    tree = MODULES[module]
    assert ast.get_docstring(tree), f"{module} says nothing of itself"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"
