"""The report of a verification: how many problems each cause has, with examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from curriculum.datasets.registry import Skipped
from deploy.verify.finding import KEPT, Cause

EXAMPLES_PER_CAUSE = 3


def report_on(
    rows: Sequence[dict[str, Any]], settings: dict[str, Any], skipped: Skipped
) -> dict[str, Any]:
    """The report as plain data for JSON.

    Args:
        rows: one per problem, as the journal has them, in the order of the problems.
        settings: what the findings depend on.
        skipped: records that could not be read.
    """
    causes = Counter(row["cause"] for row in rows)
    examples: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        shown = examples.setdefault(row["cause"], [])
        if len(shown) < EXAMPLES_PER_CAUSE and row["cause"] != Cause.passed:
            shown.append({"id": row["id"], "detail": row["detail"]})
    ordered = [cause.value for cause in Cause if cause.value in causes]
    return {
        "settings": settings,
        "problems": len(rows),
        "kept": sum(row["cause"] in KEPT for row in rows),
        "causes": {cause: causes[cause] for cause in ordered},
        "examples": {cause: examples[cause] for cause in ordered if examples[cause]},
        "bad_records": {"fields": skipped.counts, "examples": skipped.examples},
    }


def sandbox_failed(report: dict[str, Any]) -> bool:
    """Whether a sandbox failed on some problem, so that the verification is not complete."""
    return bool(report["causes"].get(Cause.infra_error.value))
