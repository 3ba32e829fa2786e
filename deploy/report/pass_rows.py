"""The rows of pass@k that an evaluation shows, in its table and on its pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from actors.evaluation.figures import OVERALL


@dataclass(frozen=True)
class PassRow:
    """pass@k over some problems of a suite."""

    k: str
    kind: Literal["tier", "overall", "judged", "quarter"]
    """What the problems have in common; `judged` is all of them over the judged samples alone."""
    name: str
    """Of the tier or quarter."""
    interval: dict[str, Any]
    """`estimate`, `low`, `high`, and the number of `problems`."""


def pass_rows(suite: dict[str, Any]) -> Iterator[PassRow]:
    """The rows of one suite's figures in `result.json`.

    For each k by tier and overall, without what the sandbox could not judge where there is such,
    and by calendar quarter where problems have dates.
    """
    for k, views in suite["pass_at_k"].items():
        for tier, interval in views["all"].items():
            yield PassRow(k, "overall" if tier == OVERALL else "tier", tier, interval)
        judged = views["judged"].get(OVERALL)
        if suite["infra_errors"] and judged:
            yield PassRow(k, "judged", "without errors of the sandbox", judged)
        for quarter, interval in suite["pass_at_k_by_quarter"][k]["all"].items():
            yield PassRow(k, "quarter", quarter, interval)
