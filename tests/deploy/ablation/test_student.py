"""Student's t against published values and a simulation."""

from __future__ import annotations

import math
import random

import pytest

from deploy.ablation.student import power_of_t, t_cdf, t_quantile


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (30, 2.0423), (1000, 1.9623)],
)
def test_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(quantile, abs=1e-4)
    assert t_quantile(0.025, freedom) == pytest.approx(-quantile, abs=1e-4)
    assert t_cdf(quantile, freedom) == pytest.approx(0.975, abs=1e-5)


@pytest.mark.parametrize(("shift", "freedom"), [(0.0, 4), (2.0, 4), (3.7, 4), (3.0, 1), (3.0, 11)])
def test_power_is_what_a_simulation_counts(shift: float, freedom: int) -> None:
    draw = random.Random(freedom)
    critical = t_quantile(0.975, freedom)
    seen, tries = 0, 40_000
    for _ in range(tries):
        u = math.sqrt(draw.gammavariate(freedom / 2, 2) / freedom)
        seen += (draw.gauss(0, 1) + shift) / u > critical
    assert power_of_t(shift, freedom) == pytest.approx(seen / tries, abs=0.008)
