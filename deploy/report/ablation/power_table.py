"""The power of a grid that is not yet run."""

from __future__ import annotations

from pathlib import Path

from curriculum.problem import TIERS
from deploy.ablation.power import (
    PILOT,
    POWER,
    Spread,
    seeds_needed,
    smallest_difference,
)
from deploy.ablation.stored import OVERALL
from deploy.errors import ConfigError
from deploy.report.ablation.grids import read_grids
from deploy.report.ablation.table import TextTable

WORST = 0.25
"""Variance of a sample that passes half of the time: more is not possible."""


def power_plan(
    problems: int,
    samples: int,
    seeds: int,
    difference: float,
    source: Path | None = None,
    spread: float | None = None,
) -> TextTable:
    """Which differences a grid can see, by tier.

    Args:
        problems: held-out problems of a tier.
        samples: completions of each.
        seeds: of each arm.
        difference: for which the seeds needed are told.
        source: folder of stored results that the spread is taken from; None for the pilot's.
        spread: by training alone, instead of either.

    Raises:
        ConfigError: the folder holds no results, or too few to estimate a spread.
    """
    spreads, origin = _spreads(source, spread)
    tiers = max(1, len(TIERS))
    rows = []
    for tier, of_tier in spreads.items():
        asked = problems * tiers if tier == OVERALL else problems
        smallest = smallest_difference(of_tier, asked, samples, seeds)
        needed = seeds_needed(of_tier, asked, samples, difference)
        rows.append([
            tier, str(asked), f"{of_tier.training:.3f}",
            f"{of_tier.standard_error(asked, samples, seeds):.4f}",
            "–" if smallest is None else f"{smallest:.3f}", str(needed or "over 100"),
        ])  # fmt: skip
    return TextTable(
        f"Smallest difference seen with {POWER:.0%} power",
        f"{seeds} seeds, {samples} samples of each problem. Spread by training: {origin}.",
        ("tier", "problems", "spread", "standard error", "smallest",
         f"seeds for {difference:g}"),
        rows,
    )  # fmt: skip


def _spreads(source: Path | None, spread: float | None) -> tuple[dict[str, Spread], str]:
    if spread is not None:
        return {"any tier": Spread(spread, WORST)}, f"given ({spread:g})"
    if source is None:
        return PILOT, "of five arms and three seeds of the smoke profile (26 November 2026)"
    grids = read_grids([source])
    if len(grids) != 1:
        raise ConfigError(f"--from {source}: expected the results of one grid, found {len(grids)}")
    grid = grids[0]
    found = {tier: of for tier in grid.tiers if (of := grid.spread(tier)) is not None}
    if not found:
        raise ConfigError(
            f"--from {source}: a spread needs two arms with two common seeds at least"
        )
    return found, f"of the results in {source}"
