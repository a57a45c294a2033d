"""Quantiles of Student's t are those of scipy."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from webpf.model.student import quantile


@pytest.mark.parametrize("probability", [0.75, 0.9, 0.95, 0.975, 0.995, 0.9995, 0.99999, 0.9999999])
def test_quantiles_are_those_of_scipy(probability: float) -> None:
    for freedom in (0.7, 1, 1.3, 2, 2.5, 3, 4, 7.77, 8, 19, 38, 100, 1000.5, 1e5):
        expected = stats.t.ppf(probability, freedom)
        assert math.isclose(quantile(probability, freedom), expected, rel_tol=1e-9), freedom


def test_one_degree_of_freedom_is_cauchys_distribution() -> None:
    for probability in (0.75, 0.9, 0.99):
        assert math.isclose(quantile(probability, 1), math.tan(math.pi * (probability - 0.5)), rel_tol=1e-12)
