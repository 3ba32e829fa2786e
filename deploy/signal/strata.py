"""The parts of a set of groups in which a mask may help more or less."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from curriculum.problem import TIERS
from deploy.signal.recorded import RecordedGroup

FEWEST_GROUPS = 10
"""Fewest groups of a part: an interval over fewer says nothing."""
BY_TIER = "tier"
PARTS = ("lowest third", "middle third", "highest third")


@dataclass(frozen=True)
class Stratum:
    """Some of the groups, by one of their properties."""

    factor: str
    """The property."""
    level: str
    """Which of its values."""
    mean: float | None
    """Of the property over these groups; None for a tier."""
    groups: tuple[int, ...]
    """Their places."""


FACTORS: dict[str, Callable[[RecordedGroup], float]] = {
    "tokens not executed": lambda group: group.unexecuted_share,
    "programs that raised": lambda group: group.crash_share,
    "programs that passed": lambda group: group.pass_rate,
}
"""The shares that groups are parted by."""


def strata(groups: Sequence[RecordedGroup]) -> Iterator[Stratum]:
    """The tiers, and for each of `FACTORS` its thirds; those of too few groups are left out.

    Groups with one value of a factor are in one third, so that thirds may differ in size.
    """
    for tier in TIERS:
        places = tuple(at for at, group in enumerate(groups) if group.tier == tier)
        if len(places) >= FEWEST_GROUPS:
            yield Stratum(BY_TIER, tier, None, places)
    for factor, share in FACTORS.items():
        values = [share(group) for group in groups]
        ordered = sorted(values)
        bounds = [ordered[len(ordered) * part // 3] for part in (1, 2)]
        for part, level in enumerate(PARTS):
            places = tuple(
                at for at, value in enumerate(values) if sum(value >= b for b in bounds) == part
            )
            if len(places) >= FEWEST_GROUPS:
                mean = sum(values[at] for at in places) / len(places)
                yield Stratum(factor, level, mean, places)
