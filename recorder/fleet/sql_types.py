"""The types of expressions in parsed SQL, as sqlglot found them."""

from __future__ import annotations

from sqlglot import exp


def unwrapped(node: exp.Expr) -> exp.Expr:
    """Returns the expression without the parentheses around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def is_whole(node: exp.Expr) -> bool:
    """Whether its values are whole numbers."""
    inner = unwrapped(node)
    return inner.type is not None and inner.type.this in exp.DataType.INTEGER_TYPES


def is_truth(node: exp.Expr) -> bool:
    """Whether its values are true, false or NULL: in SQLite these are the numbers 1 and 0."""
    inner = unwrapped(node)
    if isinstance(inner, exp.Predicate | exp.Not | exp.And | exp.Or):
        return True
    return inner.type is not None and inner.type.this == exp.DataType.Type.BOOLEAN


def in_parentheses(node: exp.Expr) -> exp.Expr:
    """Returns an expression that binds as strongly as a name: with parentheses if it needs them."""
    inner = unwrapped(node)
    is_simple = isinstance(inner, exp.Column | exp.Literal | exp.Func) and not isinstance(inner, exp.Binary)
    return inner if is_simple else exp.paren(inner)
