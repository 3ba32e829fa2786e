"""The lines a run prints as it goes: one per step, one per evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.training.evaluate import Evaluation

TIERS = ("introductory", "interview", "competition")


def step_line(step: int, steps: int, row: dict[str, float], seconds: float) -> str:
    """One step in one line; the time left assumes that the others take as long as this one."""
    width = len(str(steps))
    left = clock(seconds * (steps - step))
    return (
        f"step {step:>{width}}/{steps}  reward {row['reward']:+.2f}  pass {row['pass_rate']:4.0%}  "
        f"stages left {row['curriculum/mean_stages_left']:.2f}  "
        f"masked {row['learner/masked_share']:5.1%}  kl {row['learner/kl']:+.3f}  "
        f"rollout {row['seconds/rollout']:.1f}s  sandbox {row['seconds/sandbox']:.1f}s  "
        f"learn {row['seconds/learn']:.1f}s  sync {row['seconds/broadcast']:.2f}s  left {left}"
    )


def evaluation_line(when: str, result: Evaluation) -> str:
    """One evaluation in one line."""
    tiers = "  ".join(
        f"{tier} {result.pass_at_1[tier]:.3f}" for tier in TIERS if tier in result.pass_at_1
    )
    return (
        f"eval {when}: pass@1 {result.pass_at_1['overall']:.3f}  ({tiers})  "
        f"{result.problems} held-out problems, {result.samples} samples, {result.seconds:.0f}s"
    )


def clock(seconds: float) -> str:
    """Minutes and seconds, `m:ss`."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
