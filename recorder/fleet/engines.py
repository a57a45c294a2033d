"""The engines by name, and what they need."""

from __future__ import annotations

import os
import shutil

from ..errors import Unavailable
from .engine import Engine
from .engine_name import EngineName


def create(name: EngineName) -> Engine:
    """Returns an engine that is not open: it can write SQL."""
    if name is EngineName.duckdb:
        from .duckdb import DuckDb

        return DuckDb()
    if name is EngineName.clickhouse:
        from .clickhouse import ClickHouse

        return ClickHouse()
    from .spark import Spark

    return Spark()


def start(name: EngineName) -> Engine:
    """Returns an open engine, with its settings.

    Raises ImportError if its package isn't installed, and Unavailable for Spark without Java.
    """
    engine = create(name)
    if name is EngineName.spark and not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise Unavailable("Spark needs Java, which is not installed", "sudo apt-get install openjdk-17-jre-headless")
    engine.open()
    for setting in engine.settings:
        engine.execute(setting)
    return engine
