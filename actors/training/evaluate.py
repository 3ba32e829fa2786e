"""Evaluation: sampled pass@1 on a suite of problems, always asked from the empty prefix."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from actors.collectors.group import CollectorGroup
from actors.errors import RunFailed
from actors.evaluation.figures import ProblemCounts, pass_intervals
from actors.rollout.round import JudgedGroup, missing_libraries, outcome_mix
from curriculum.datasets.problem_file import problem_digest
from curriculum.problem import Problem
from curriculum.subtask import FULL_TASK, cut
from sandbox import Outcome

EVAL_IDS = 1 << 30
"""First sample id of an evaluation. Every evaluation draws the same random streams, and no training
sample shares one."""
HELDOUT = "heldout"
"""Name of the suite of a run's own held-out problems."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation's figures."""

    suite: str
    """What was asked: `heldout`, or one of `loop.eval_suites`."""
    pass_at_1: dict[str, float]
    """Mean pass rate of the judged samples, `overall` and by tier."""
    outcomes: dict[str, float]
    """Share of each outcome."""
    missing_libraries: dict[str, int]
    """Libraries that programs import and the sandbox lacks, and how many programs ended so."""
    problems: int
    """Number of problems."""
    samples: int
    """Completions judged."""
    unjudged: int
    """Completions the sandbox could not judge; not counted in any share."""
    truncated: float
    """Share of the completions that were cut off at their limit."""
    completion_tokens: float
    """Mean length of a completion [tokens]."""
    seconds: float
    """Wall time [seconds]."""
    counts: tuple[ProblemCounts, ...]
    """How the samples of each problem came out."""

    def summary(self) -> dict[str, Any]:
        """The figures without those of single problems, with the 95 % intervals of pass@1."""
        figures = asdict(self)
        del figures["counts"]
        intervals = pass_intervals(self.counts, 1, judged_only=True).items()
        ends = {tier: [interval["low"], interval["high"]] for tier, interval in intervals}
        return figures | {"intervals": ends}

    def metrics(self) -> dict[str, float]:
        """The evaluation's row of `metrics.jsonl`.

        `low` and `high` bound the 95 % interval of pass@1, clustered by problem
        (`actors.evaluation.statistics`).
        """
        prefix = f"eval/{self.suite}"
        row = {f"{prefix}/pass_at_1/{tier}": rate for tier, rate in self.pass_at_1.items()}
        for tier, interval in pass_intervals(self.counts, 1, judged_only=True).items():
            row |= {f"{prefix}/{end}/{tier}": interval[end] for end in ("low", "high")}
        row |= {f"{prefix}/outcome/{name}": share for name, share in self.outcomes.items()}
        return row | {
            f"{prefix}/samples": float(self.samples),
            f"{prefix}/unjudged": float(self.unjudged),
            f"{prefix}/truncated": self.truncated,
            f"{prefix}/completion_tokens": self.completion_tokens,
            f"{prefix}/seconds": self.seconds,
        }

    def problem_rows(self) -> dict[str, dict[str, Any]]:
        """How the samples of each problem came out, by id, for `evaluations.jsonl`."""
        return {
            row.problem: {
                "tier": row.tier,
                "digest": row.digest,
                "samples": row.samples,
                "judged": row.judged,
                "passed": row.passed,
            }
            for row in self.counts
        }


async def evaluate(
    collectors: CollectorGroup,
    suite: str,
    problems: Sequence[Problem],
    samples_each: int,
    deadline_s: float,
    temperature: float | None = None,
    top_p: float = 1.0,
) -> Evaluation:
    """Ask every problem whole, `samples_each` times, and judge the completions.

    Without a temperature it is training's.

    Raises:
        RunFailed: the sandbox could judge none of the completions.
        TimeoutError: it took longer than `deadline_s` seconds.
    """
    started = time.monotonic()
    subtasks = [cut(problem, FULL_TASK, frozenset()) for problem in problems]
    collected = await collectors.collect(
        subtasks,
        samples_each,
        EVAL_IDS,
        deadline_s,
        temperature=temperature,
        top_p=top_p,
        trajectories=False,
    )
    judged, faults = collected.judged, collected.faults
    if not judged:
        raise RunFailed(
            f"evaluation of {suite}: the sandbox judged none of {len(faults)} completions; the "
            f"first error: {faults[0].error}"
        )
    passes: dict[str, list[bool]] = {"overall": []}
    for group in collected.groups:
        passed = [sample.outcome is Outcome.passed for sample in group.judged]
        passes["overall"] += passed
        passes.setdefault(group.subtask.problem.difficulty, []).extend(passed)
    written = collected.samples
    return Evaluation(
        suite=suite,
        pass_at_1={tier: sum(values) / len(values) for tier, values in passes.items() if values},
        outcomes=outcome_mix(judged),
        missing_libraries=missing_libraries(judged),
        problems=len(problems),
        samples=len(judged),
        unjudged=len(faults),
        truncated=fmean(sample.finish_reason == "length" for sample in written),
        completion_tokens=fmean(sample.tokens for sample in written),
        seconds=time.monotonic() - started,
        counts=tuple(_counts(group) for group in collected.groups),
    )


def _counts(group: JudgedGroup) -> ProblemCounts:
    problem = group.subtask.problem
    return ProblemCounts(
        problem=problem.id,
        tier=problem.difficulty,
        digest=problem_digest(problem),
        samples=len(group.samples),
        passed=group.passed,
        judged=len(group.judged),
    )
