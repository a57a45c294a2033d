"""The house: a folder is a layer, imports go down, each third party has its door, modules and functions stay small."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from support import PROJECT

RECORDER = PROJECT / "recorder"

# From the ground up: a folder may import from lower ones and from itself. The package itself is on top of all.
_PICTURE = (PROJECT / "docs" / "how-it-works.md").read_text(encoding="utf-8").partition("\n## Layers\n")[2]
LAYERS = [*(set(line.split()) for line in reversed(re.findall(r"^    ([a-z_ ]+)$", _PICTURE, re.MULTILINE))), {""}]
# Who imports a third party, or SQLite: folders or modules.
DOORS = {
    "typer": {"cli"},
    "rich": {"cli", "output"},
    "textual": {"cli.top_app"},
    "sqlite_utils": {"storage"},
    "sqlite3": {
        *("storage", "analysis", "export", "fleet", "python_api", "progress"),
        *("kernel.doctor", "capture.describe_host", "cli.progress_bar", "cli.versions"),
    },
    "datasette": {"web"},
    "uvicorn": {"web.server"},
    "perfetto": {"export.perfetto"},
    "pyarrow": {"fleet"},
    "duckdb": {"fleet.duckdb"},
    "chdb": {"fleet.clickhouse"},
    "pyspark": {"fleet.spark"},
    "sqlglot": {"fleet.translate", "fleet.round_rules", "fleet.truth_rules", "fleet.sql_types"},
    "yaml": {"web.site_config"},
    "prometheus_client": {"cli.metrics"},
    "click": set[str](),
    "bcc": set[str](),  # kernel.bcc_loader finds it by path
}


def dotted(path: Path) -> str:
    """A module's name below webpf; empty for webpf itself."""
    return ".".join(path.relative_to(RECORDER).with_suffix("").parts).removesuffix("__init__").rstrip(".")


PATHS = {dotted(path): path for path in RECORDER.rglob("*.py")}
MODULES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in PATHS.items()}


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """What it imports: a module of webpf, or the top-level package of somebody else's; and whether it is webpf's."""
    folder = module if PATHS[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from ((each.name.partition(".")[0], False) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0], False
        elif isinstance(node, ast.ImportFrom):
            parts = folder.split(".") if folder else []
            base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
            below = {each.name: f"{base}.{each.name}".lstrip(".") for each in node.names}
            yield from ((below[name] if below[name] in MODULES else base, True) for name in below)


def layer(module: str) -> int:
    """How high a module is: by its folder."""
    return next(height for height, names in enumerate(LAYERS) if module.partition(".")[0] in names)


def is_within(module: str, places: set[str]) -> bool:
    """Whether it is one of these modules, or in one of these folders."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_each_folder_is_installed() -> None:
    folders = {path.parent.relative_to(RECORDER) for path in RECORDER.rglob("__init__.py")}
    named = {".".join(("webpf", *folder.parts)) for folder in folders} | {"webpf.bpf", "webpf.queries"}
    listed = re.search(r"^packages = \[(.*?)\]", (PROJECT / "pyproject.toml").read_text(encoding="utf-8"), re.S | re.M)
    assert listed is not None and set(re.findall(r'"([\w.]+)"', listed[1])) == named


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module: str) -> None:
    own = module.partition(".")[0]
    for name, is_ours in imports(module):
        if is_ours and name.partition(".")[0] != own:
            assert layer(name) < layer(module), f"{module} imports {name}, which is not below it"


def test_no_circles() -> None:
    """Also within a folder."""
    graph = {module: {name for name, is_ours in imports(module) if is_ours and name != module} for module in MODULES}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("package", sorted(DOORS))
def test_each_third_party_has_its_door(package: str) -> None:
    users = {module for module in MODULES if (package, False) in set(imports(module))}
    assert {module for module in users if not is_within(module, DOORS[package])} == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_and_functions_stay_small(module: str) -> None:
    assert len(PATHS[module].read_text(encoding="utf-8").splitlines()) <= 250
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
