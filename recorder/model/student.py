"""Quantiles of Student's t distribution. Pure; the tests compare them with scipy."""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300
_PRECISION = 1e-16
_MOST_STEPS = 10_000


@lru_cache(maxsize=4096)
def quantile(probability: float, freedom: float) -> float:
    """Returns the t below which a value lies with this probability, from 0.75 on. freedom: degrees, any above 0."""
    tail = 1 - probability
    t = 0.0
    # The tail's probability falls and is convex, so Newton's steps from 0 never go beyond the solution.
    for _ in range(_MOST_STEPS):
        step = (_tail(t, freedom) - tail) / _density(t, freedom)
        t += step
        if step <= t * 1e-13:
            break
    return t


def _tail(t: float, freedom: float) -> float:
    """Returns the probability of a value above t, for t >= 0."""
    return _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2


def _density(t: float, freedom: float) -> float:
    logarithm = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    return math.exp(logarithm - (freedom + 1) / 2 * math.log1p(t * t / freedom))


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Returns the regularized incomplete beta function: its continued fraction (DLMF 8.17.22), by Lentz's method."""
    if x >= 1:
        return 1.0
    if x <= 0:
        return 0.0
    if x > (a + 1) / (a + b + 2):  # there it converges slowly
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x) - math.log(a)
    )
    return front / _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(1, _MOST_STEPS):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1 / (1 + term * lower or _TINY)
        upper = 1 + term / upper or _TINY
        value *= upper * lower
        if abs(upper * lower - 1) < _PRECISION:
            break
    return value
