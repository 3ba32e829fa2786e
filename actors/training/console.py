"""The lines that a run logs as it goes: one per step, one per evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line needs `clock` only, and must not load Ray for it
    from actors.training.evaluate import Evaluation
    from actors.training.step_report import StepReport

MAX_NAMED = 3
"""Missing libraries named in a line."""
TIERS = ("introductory", "interview", "competition")


def step_line(report: StepReport, steps: int) -> str:
    """One step of `steps` in one line.

    The time left assumes that every further step takes as long as this one.
    """
    width = len(str(steps))
    left = clock(report.total_s * (steps - report.step))
    curriculum, learner = report.curriculum, report.learner
    # Without a reference (`learner.kl_coefficient 0`) there is no KL to it.
    kl = f"kl {learner['kl']:+.3f}  " if "kl" in learner else ""
    return (
        f"step {report.step:>{width}}/{steps}  reward {report.reward:+.2f}  "
        f"pass {report.pass_rate:4.0%}  stages left {curriculum['mean_stages_left']:.2f}  "
        f"masked {learner['masked_share']:5.1%}  {kl}"
        f"rollout {report.round.rollout_s:.1f}s  sandbox {report.round.sandbox_s:.1f}s  "
        f"learn {report.learn_s:.1f}s  sync {report.broadcast_s:.2f}s  left {left}"
        f"{missing_line(report.missing_libraries)}"
    )


def evaluation_line(when: str, result: Evaluation) -> str:
    """One evaluation of one suite in one line."""
    asked = "held-out problems" if result.suite == "heldout" else f"problems of {result.suite}"
    by_tier = "  ".join(
        f"{tier} {result.pass_at_1[tier]:.3f}" for tier in TIERS if tier in result.pass_at_1
    )
    return (
        f"eval {when}: pass@1 {result.pass_at_1['overall']:.3f}  ({by_tier})  "
        f"{result.problems} {asked}, {result.samples} samples, {result.seconds:.0f}s"
        f"{missing_line(result.missing_libraries)}"
    )


def missing_line(libraries: Mapping[str, int]) -> str:
    """What to add to a line where programs lack libraries, which `sandbox.packages` may hold."""
    if not libraries:
        return ""
    named = [f"{name} ({count})" for name, count in islice(libraries.items(), MAX_NAMED)]
    more = len(libraries) - len(named)
    return f"  no library {', '.join(named)}{f' and {more} more' if more else ''}"


def clock(seconds: float) -> str:
    """Minutes and seconds, `m:ss`."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
