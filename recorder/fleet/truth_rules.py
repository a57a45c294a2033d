"""Rules for truth values: in SQLite they are the numbers 1 and 0, and any number can stand where one is wanted."""

from __future__ import annotations

from sqlglot import exp

from .sql_types import is_truth, unwrapped

_AGGREGATES = (exp.Sum, exp.Max, exp.Min, exp.Avg)


def make_numbers(tree: exp.Expr) -> None:
    """Makes numbers of truth values that are added or shown. After it, the types must be found again."""
    for aggregate in list(tree.find_all(*_AGGREGATES)):
        _make_number(aggregate.this)
    for select in list(tree.find_all(exp.Select)):
        for column in select.expressions:
            _make_number(column.this if isinstance(column, exp.Alias) else column)


def compare_numbers(tree: exp.Expr) -> None:
    """Compares numbers with 0 where truth is wanted."""
    for pair in list(tree.find_all(exp.And, exp.Or)):
        _want_truth(pair.this)
        _want_truth(pair.expression)
    for node in list(tree.find_all(exp.Not, exp.Where, exp.Having, exp.If)):
        if not _is_compared(node):
            _want_truth(node.this)
    for join in list(tree.find_all(exp.Join)):
        if join.args.get("on") is not None:
            _want_truth(join.args["on"])


def _is_compared(node: exp.Expr) -> bool:
    """Whether it is a WHEN of `CASE value WHEN ...`."""
    return isinstance(node, exp.If) and isinstance(node.parent, exp.Case) and node.parent.this is not None


def _want_truth(node: exp.Expr) -> None:
    inner = unwrapped(node)
    if not is_truth(inner) and not isinstance(inner, exp.Boolean):
        node.replace(exp.NEQ(this=exp.paren(inner.copy()), expression=exp.Literal.number(0)))


def _make_number(node: exp.Expr) -> None:
    if is_truth(node):
        node.replace(exp.cast(node.copy(), "bigint"))
