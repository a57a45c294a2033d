"""Rules for round(): engines differ in which way they round a number that is in the middle between two others.

A whole number of ns is rounded in whole numbers. Other numbers are rounded away from 0 from the middle, as in SQLite.
"""

from __future__ import annotations

from sqlglot import exp, parse_one

from .sql_types import in_parentheses, is_whole, unwrapped


def apply(tree: exp.Expr, dialect: str) -> None:
    """Replaces each round(value, digits)."""
    for node in reversed(list(tree.find_all(exp.Round))):
        digits = int(node.args["decimals"].name) if node.args.get("decimals") is not None else 0
        node.replace(_of_ns(node, digits) or _of_any(node, digits))


def _of_ns(node: exp.Round, digits: int) -> exp.Expr | None:
    """For round(ns / 1e6, 3) and the like; None for anything else."""
    value = unwrapped(node.this)
    if not isinstance(value, exp.Div) or not isinstance(value.expression, exp.Literal):
        return None
    divisor = float(value.expression.name)
    unit = int(divisor) // 10**digits
    if divisor not in (1e6, 1e9) or unit < 2:
        return None
    if not is_whole(value.this):
        return _with_x(f"FLOOR(ABS(x) / {unit}.0e0 + 0.5e0) / {_signed(digits)}", value.this)
    return _with_x(f"CAST(CAST(ABS(x) + {unit // 2} AS INTEGER) / {unit} AS DOUBLE) / {_signed(digits)}", value.this)


def _of_any(node: exp.Round, digits: int) -> exp.Expr:
    return _with_x(f"FLOOR(ABS(x) * {10.0**digits}e0 + 0.5e0) / {_signed(digits)}", node.this)


def _signed(digits: int) -> str:
    """Returns SQL for 10**digits with the sign of x. Divided by it, 0 gets the sign too, as in SQLite."""
    return f"CASE WHEN x < 0 THEN -{10.0**digits}e0 ELSE {10.0**digits}e0 END"


def _with_x(sql: str, value: exp.Expr) -> exp.Expr:
    """Returns the parsed SQL with the value for x."""
    made = parse_one(sql, read="sqlite")
    for column in list(made.find_all(exp.Column)):
        column.replace(in_parentheses(value.copy()))
    for division in made.find_all(exp.Div):
        division.set("safe", False)  # no divisor is 0
    for cast in made.find_all(exp.Cast):
        if cast.to.is_type(*exp.DataType.INTEGER_TYPES):
            cast.set("to", exp.DataType.build("bigint"))
    return made
