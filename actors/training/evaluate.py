"""Evaluation: sampled pass@1 on held-out problems, always asked from the empty prefix."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from actors.errors import RunFailed
from actors.rollout.collector import Collector
from actors.rollout.samples import missing_libraries, outcome_mix
from curriculum.problem import Problem
from curriculum.subtask import FULL_TASK, cut
from sandbox import Outcome

EVAL_IDS = 1 << 30
"""First sample id of an evaluation. Every evaluation draws the same random streams, and no training
sample shares one."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation's figures."""

    pass_at_1: dict[str, float]
    """Mean pass rate, `overall` and by tier."""
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
    seconds: float
    """Wall time [seconds]."""


async def evaluate(
    collector: Collector,
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
    collected = await collector.collect(
        subtasks, samples_each, EVAL_IDS, deadline_s, temperature=temperature, top_p=top_p
    )
    judged, faults = collected.judged, collected.faults
    if not judged:
        raise RunFailed(
            f"evaluation: the sandbox judged none of {len(faults)} completions; the first error: "
            f"{faults[0].verdict.error}"
        )
    passes: dict[str, list[bool]] = {"overall": []}
    for group in collected.groups:
        passed = [sample.verdict.outcome is Outcome.passed for sample in group.judged]
        passes["overall"] += passed
        passes.setdefault(group.subtask.problem.difficulty, []).extend(passed)
    return Evaluation(
        pass_at_1={tier: sum(values) / len(values) for tier, values in passes.items() if values},
        outcomes=outcome_mix(judged),
        missing_libraries=missing_libraries(judged),
        problems=len(problems),
        samples=len(judged),
        unjudged=len(faults),
        seconds=time.monotonic() - started,
    )
