"""Translates SQL from SQLite's language into that of DuckDB, ClickHouse or Spark, so that it gives the same rows.

sqlglot parses the SQL, and knows how functions and NULLs are written elsewhere. The rules here are about what it can't
know: what the same words mean in SQLite. They are for the SQL of the saved queries, not for any SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from sqlglot import exp, parse_one
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from . import round_rules, truth_rules
from .sql_types import in_parentheses, is_whole, unwrapped

Schema: TypeAlias = Mapping[str, Mapping[str, str]]
"""The columns of each table, and their types: BIGINT, TEXT, BLOB."""

_AS_THEY_ARE: Mapping[str, str] = {}
_BYTES = (exp.DataType.Type.BLOB, exp.DataType.Type.VARBINARY, exp.DataType.Type.BINARY)


class Translated(NamedTuple):
    """A query in an engine's language. blobs: the names of its columns whose values are bytes.

    before: statements that must run before it.
    """

    sql: str
    blobs: frozenset[str]
    before: tuple[str, ...] = ()

    @property
    def statements(self) -> tuple[str, ...]:
        """All statements; the last one is the query."""
        return *self.before, self.sql


def translate(sql: str, dialect: str, schema: Schema, names: Mapping[str, str] = _AS_THEY_ARE) -> Translated:
    """Translates a query for an engine. dialect: duckdb, clickhouse or spark. names: others for tables that it reads.

    `each_below(n)` in a SELECT gives a row for each number from 0 to below n.
    """
    tree = parse_one(sql, read="sqlite")
    for node in tree.walk():
        node.comments = None
    _rename_tables(tree, names)
    read = {table.name for table in tree.find_all(exp.Table)}
    schema = {table: columns for table, columns in schema.items() if table in read}  # sqlglot copies all of it
    tree = qualify(
        tree, schema=_plain(schema), dialect="sqlite", quote_identifiers=False, validate_qualify_columns=False
    )
    tree = _annotated(tree, schema)
    assert isinstance(tree, exp.Query)
    blobs = frozenset(column.alias_or_name for column in tree.selects if column.is_type(*_BYTES))
    for rule in (_mend_joins, _mend_numbers, _mend_casts, _mend_materialized):
        rule(tree, dialect)
    truth_rules.make_numbers(tree)
    truth_rules.compare_numbers(_annotated(tree, schema))
    # To find the types takes most of the time, so it is done only where something needs them.
    if tree.find(exp.Round):
        round_rules.apply(_annotated(tree, schema), dialect)
    if tree.find(exp.Div):
        _divide_whole_numbers(_annotated(tree, schema), dialect)
    for rule in (_name_bit_operators, _mend_counts, _mend_functions):
        rule(tree, dialect)
    before = _take_stored(tree) if dialect == "spark" else ()
    return Translated(tree.sql(dialect, pretty=True), blobs, before)


def _rename_tables(tree: exp.Expr, names: Mapping[str, str]) -> None:
    """Gives tables the names that the engine knows. In SQLite, capitals in names make no difference."""
    for table in list(_tables(tree)):
        name = table.name.lower()
        if name in names or name != table.name:
            alias = table.alias_or_name
            table.set("this", exp.to_identifier(names.get(name, name)))
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))


def _tables(tree: exp.Expr) -> Iterator[exp.Table]:
    """Yields what a query reads, but for the common table expressions: their names hide those of tables."""
    for table in tree.find_all(exp.Table):
        clauses = (query.args.get("with_") for query in _above(table))
        common = {cte.alias.lower() for clause in clauses if clause is not None for cte in clause.expressions}
        if table.name.lower() not in common:
            yield table


def _above(node: exp.Expr) -> Iterator[exp.Expr]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _take_stored(tree: exp.Expr) -> tuple[str, ...]:
    """Takes WITH out of a query for Spark, if it has MATERIALIZED. Returns statements that make views of its parts.

    Spark has no such word. It computes each part anew for each place that reads it, unless it is a stored view.
    """
    clause = tree.args.get("with_")
    if clause is None or not any(cte.args.get("materialized") for cte in clause.expressions):
        return ()
    assert not clause.args.get("recursive")
    made: list[str] = []
    for cte in clause.expressions:
        name, columns = cte.alias, ", ".join(column.name for column in cte.args["alias"].columns)
        head = f"CREATE OR REPLACE TEMPORARY VIEW {name}{f' ({columns})' if columns else ''} AS"
        made.append(f"{head}\n{cte.this.sql('spark', pretty=True)}")
        if cte.args.get("materialized"):
            made.append(f"CACHE TABLE {name}")
    tree.set("with_", None)
    return tuple(made)


def tables_read(sql: str) -> set[str]:
    """Returns the names of the tables that a query reads, in lower case."""
    return {table.name.lower() for table in _tables(parse_one(sql, read="sqlite"))}


def _plain(schema: Schema) -> dict[str, object]:
    return {table: dict(columns) for table, columns in schema.items()}


def _annotated(tree: exp.Expr, schema: Schema) -> exp.Expr:
    return annotate_types(tree, schema=_plain(schema), dialect="sqlite")


def _mend_joins(tree: exp.Expr, dialect: str) -> None:
    """In SQLite, CROSS JOIN may have an ON: it sets the order of the loops. JOIN without ON is a cross join."""
    for join in tree.find_all(exp.Join):
        has_condition = join.args.get("on") is not None or join.args.get("using")
        if has_condition and (join.kind or "").upper() == "CROSS":
            join.set("kind", None)
        elif not has_condition and not join.side and not join.kind:
            join.set("kind", "CROSS")


def _mend_numbers(tree: exp.Expr, dialect: str) -> None:
    """In SQLite, a number with a point is a double; elsewhere it is a decimal number, unless it has an exponent."""
    for number in list(tree.find_all(exp.Literal)):
        if not number.is_string and "." in number.name and "e" not in number.name.lower():
            number.set("this", f"{number.name}e0")


def _mend_casts(tree: exp.Expr, dialect: str) -> None:
    """In SQLite, INTEGER has 64 bits, and a cast to it drops the fraction; DuckDB's rounds."""
    for cast in list(tree.find_all(exp.Cast)):
        if not cast.to.is_type(*exp.DataType.INTEGER_TYPES):
            continue
        value = cast.this
        if dialect == "duckdb" and value.type is not None and value.type.is_type(*exp.DataType.REAL_TYPES):
            cast.set("this", exp.Anonymous(this="trunc", expressions=[value.copy()]))
        cast.set("to", exp.DataType.build("bigint"))


def _mend_materialized(tree: exp.Expr, dialect: str) -> None:
    """NOT MATERIALIZED is what all do anyway. A WITH RECURSIVE has no MATERIALIZED in ClickHouse and Spark."""
    for clause in tree.find_all(exp.With):
        recurs = any(table.name == cte.alias for cte in clause.expressions for table in cte.this.find_all(exp.Table))
        clause.set("recursive", recurs or None)
    for cte in tree.find_all(exp.CTE):
        is_plain = isinstance(cte.parent, exp.With) and not cte.parent.args.get("recursive")
        if not cte.args.get("materialized") or not is_plain:
            cte.set("materialized", None)


def _divide_whole_numbers(tree: exp.Expr, dialect: str) -> None:
    """In SQLite, a whole number by a whole number is a whole number, and by 0 NULL. The innermost comes first."""
    divisions = [each for each in tree.find_all(exp.Div) if is_whole(each.this) and is_whole(each.expression)]
    for division in reversed(divisions):
        left, right = division.this.copy(), division.expression.copy()
        if not isinstance(unwrapped(right), exp.Literal):
            right = exp.Nullif(this=unwrapped(right), expression=exp.Literal.number(0))
        if dialect == "clickhouse":
            division.replace(exp.Anonymous(this="intDiv", expressions=[left, right]))
        else:
            division.replace(exp.paren(exp.IntDiv(this=in_parentheses(left), expression=in_parentheses(right))))


def _name_bit_operators(tree: exp.Expr, dialect: str) -> None:
    """ClickHouse has functions instead of & and >>."""
    if dialect != "clickhouse":
        return
    for node in reversed(list(tree.find_all(*_BIT_FUNCTIONS))):
        node.replace(_call(_BIT_FUNCTIONS[type(node)], node.this.copy(), node.expression.copy()))


def _mend_counts(tree: exp.Expr, dialect: str) -> None:
    """In ClickHouse, a count is a number without sign, which can't be mixed with others."""
    if dialect != "clickhouse":
        return
    for count in list(tree.find_all(exp.Count, exp.RowNumber)):
        node = count.parent if isinstance(count.parent, exp.Window) and count.parent.this is count else count
        node.replace(exp.cast(node.copy(), "bigint"))


def _mend_functions(tree: exp.Expr, dialect: str) -> None:
    """printf('%*s', n, '') is n spaces; each_below(n) is a row for each number; ClickHouse's substring is of bytes."""
    for function in list(tree.find_all(exp.Func)):
        name = (function.name if isinstance(function, exp.Anonymous) else function.sql_name()).lower()
        arguments = [each.copy() for each in _arguments(function)]
        if name in ("printf", "format") and arguments and unwrapped(arguments[0]).name == "%*s":
            function.replace(exp.Repeat(this=exp.Literal.string(" "), times=arguments[1]))
        elif isinstance(function, exp.Substring) and dialect == "clickhouse":
            function.replace(
                _call("substringUTF8", *(function.args[key].copy() for key in ("this", "start", "length")))
            )
        elif name == "each_below":
            assert isinstance(function.parent, exp.Cast)  # which says its type
            function.parent.replace(_EACH_BELOW[dialect](arguments[0]))


def _arguments(function: exp.Func) -> Iterable[exp.Expr]:
    if isinstance(function.this, exp.Expr):
        yield function.this
    yield from function.expressions


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


_BIT_FUNCTIONS: Mapping[type[exp.Expr], str] = {exp.BitwiseAnd: "bitAnd", exp.BitwiseRightShift: "bitShiftRight"}
_ZERO, _ONE = exp.Literal.number(0), exp.Literal.number(1)
_EACH_BELOW: Mapping[str, Callable[[exp.Expr], exp.Expr]] = {
    "duckdb": lambda count: _call("unnest", _call("range", _ZERO.copy(), count)),
    "clickhouse": lambda count: _call("arrayJoin", _call("range", count)),
    "spark": lambda count: _call(
        "explode", _call("sequence", exp.cast(_ZERO.copy(), "bigint"), exp.Sub(this=exp.paren(count), expression=_ONE))
    ),
}
