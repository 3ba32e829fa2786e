"""Claims about arms, declared before they are measured, and whether results support them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from deploy.ablation.estimates import FEWEST_SEEDS
from deploy.ablation.grid import Grid
from deploy.ablation.stored import OVERALL

HARDEST = "hardest"
"""Stands for the hardest tier of the held-out problems."""
NEEDED = 0.95
"""Confidence from which on a claim holds."""


@dataclass(frozen=True)
class Claim:
    """Arm `a` is better than arm `b` on a tier by more than a margin."""

    text: str
    a: str
    b: str
    tier: str
    margin: float = 0.0
    """Of pass@1; below 0 the claim is that `a` is not worse by more than that."""


CLAIMS = (
    Claim("CCCS helps on the hardest tier (with FGO)", "full", "no-cccs", HARDEST),
    Claim("CCCS helps on the hardest tier (without FGO)", "no-fgo", "ppo", HARDEST),
    Claim("CCCS helps overall", "full", "no-cccs", OVERALL),
    Claim("CCCS and FGO together beat plain PPO on the hardest tier", "full", "ppo", HARDEST),
    Claim("CCCS and FGO together beat plain PPO overall", "full", "ppo", OVERALL),
    Claim("FGO helps overall (with CCCS)", "full", "no-fgo", OVERALL),
    Claim("FGO helps overall (without CCCS)", "no-cccs", "ppo", OVERALL),
    Claim("FGO helps on the hardest tier", "full", "no-fgo", HARDEST),
    Claim("FGO beats a random mask of the same sparsity", "full", "random-mask", OVERALL),
    Claim("FGO helps with a group baseline", "group", "group-no-fgo", OVERALL),
    Claim("The adaptive schedule beats CCCS on the hardest tier by 0.05", "adaptive", "full",
          HARDEST, 0.05),
    Claim("The adaptive schedule is not worse than CCCS overall (by more than 0.02)", "adaptive",
          "full", OVERALL, -0.02),
    Claim("Prefixes drawn from an interval beat CCCS on the hardest tier by 0.05", "drawn", "full",
          HARDEST, 0.05),
    Claim("Prefixes only after failure beat CCCS on the hardest tier by 0.05", "unguided", "full",
          HARDEST, 0.05),
    Claim("Prefixes that fade to none help CCCS on the hardest tier", "fade", "full", HARDEST),
    Claim("Rests of solved problems help CCCS on the hardest tier", "rest", "full", HARDEST),
    Claim("Prefixes of the policy's own programs help CCCS on the hardest tier", "own-prefixes",
          "full", HARDEST),
    Claim("Blaming what raised beats FGO overall", "error-mask", "full", OVERALL),
    Claim("Blaming what raised beats its random control", "error-mask", "random-error", OVERALL),
    Claim("Blame from the first divergence beats FGO overall", "divergence", "full", OVERALL),
    Claim("Blame from the first divergence beats FGO on the hardest tier", "divergence", "full",
          HARDEST),
    Claim("Blame from the first divergence beats its random control", "divergence",
          "random-divergence", OVERALL),
    Claim("CCCS beats a prefix that shortens with every visit", "full", "linear", HARDEST),
)  # fmt: skip

Verdict = Literal["holds", "not shown", "contradicted", "too few seeds", "not tested"]


@dataclass(frozen=True)
class Judged:
    """A claim beside what the results say of it."""

    claim: Claim
    verdict: Verdict
    words: str
    """One sentence with the figures."""


def judge_claims(grid: Grid) -> Iterator[Judged]:
    """Every claim on the runs of a grid, in their order."""
    for claim in CLAIMS:
        yield _judge(claim, grid)


def _judge(claim: Claim, grid: Grid) -> Judged:
    if missing := [arm for arm in (claim.a, claim.b) if arm not in grid.arms]:
        return Judged(claim, "not tested", f"no runs of {' and '.join(missing)}")
    tier = grid.hardest if claim.tier == HARDEST else claim.tier
    difference = grid.difference(claim.a, claim.b, tier)
    if difference is None:
        return Judged(claim, "not tested", f"{claim.a} and {claim.b} share no seed")
    estimate = difference.estimate
    figures = f"{claim.a} less {claim.b}, {tier}: {estimate.mean:+.3f}"
    pairs = f"{difference.in_favour} of {estimate.seeds} pairs in favour"
    confidence = difference.confidence_above(claim.margin)
    if confidence is None or estimate.low is None or estimate.high is None:
        seeds = f"{estimate.seeds} seed{'s' if estimate.seeds > 1 else ''}"
        words = f"{figures}, {pairs}; {seeds}, an interval needs {FEWEST_SEEDS}"
        return Judged(claim, "too few seeds", words)
    figures += f" [{estimate.low:+.3f}, {estimate.high:+.3f}], {pairs}"
    if confidence >= NEEDED:
        return Judged(claim, "holds", f"{figures}; at {_percent(confidence)} confidence")
    if estimate.high < claim.margin:
        margin = f"{claim.margin:+.2f}" if claim.margin else "0"
        return Judged(claim, "contradicted", f"{figures}; the whole interval is below {margin}")
    if confidence == 0:
        return Judged(claim, "not shown", f"{figures}; does not point that way")
    return Judged(
        claim, "not shown", f"{figures}; points that way at {_percent(confidence)} confidence"
    )


def _percent(confidence: float) -> str:
    return "above 99.9 %" if confidence > 0.999 else f"{100 * confidence:.1f} %"
