"""The engines by name, and what they need."""

from __future__ import annotations

import importlib.util
import os
import shutil

from ..errors import Unavailable
from ..host.invocation import pip_install
from .engine import Engine
from .engine_name import EngineName


def create(name: EngineName) -> Engine:
    """Returns an engine that is not open: it can write SQL. Raises Unavailable if sqlglot is not installed."""
    require(name, "sqlglot")
    if name is EngineName.duckdb:
        from .duckdb import DuckDb

        return DuckDb()
    if name is EngineName.clickhouse:
        from .clickhouse import ClickHouse

        return ClickHouse()
    from .spark import Spark

    return Spark()


def start(name: EngineName) -> Engine:
    """Returns an open engine, with its settings. Raises Unavailable if it lacks something, with what installs it."""
    engine = create(name)
    require(name, engine.package, "sqlglot", "pyarrow")
    if name is EngineName.spark and not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise Unavailable("Spark needs Java, which is not installed", "sudo apt-get install openjdk-17-jre-headless")
    engine.open()
    for setting in engine.settings:
        engine.execute(setting)
    return engine


def require(name: EngineName, *packages: str) -> None:
    """Raises Unavailable if a package that the engine needs is not installed, with the command that installs all."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        message = f"the engine {name.value} needs the Python package{plural} {' and '.join(missing)}"
        raise Unavailable(message, pip_install(*missing))
