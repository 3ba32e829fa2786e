"""The figures of a round by tier, by stage and by length, for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean, quantiles

from actors.rollout.round import JudgedGroup, Round
from curriculum.subtask import FULL_TASK, Subtask

MOST_STAGES_LEFT = 8
"""Stages from which on pass rates share one figure, `more`."""


def pass_rates(groups: Iterable[JudgedGroup]) -> dict[str, float]:
    """Share of the judged samples that passed, by tier, by stages left, and of full tasks.

    `tier/<tier>` and `full_task/<tier>` are by tier, `full_task` is of all tiers, `stages_left/<n>`
    of the subtasks from which n stages lead to the full task. What was not asked has no figure.
    """
    passed: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for group in groups:
        for name in _names(group.subtask):
            passed[name] += group.passed
            judged[name] += len(group.judged)
    return {name: passed[name] / judged[name] for name in sorted(judged) if judged[name]}


def _names(subtask: Subtask) -> list[str]:
    tier, left = subtask.problem.difficulty, subtask.stage - FULL_TASK
    if not left:
        return [f"tier/{tier}", "full_task", f"full_task/{tier}", "stages_left/0"]
    return [f"tier/{tier}", f"stages_left/{left if left < MOST_STAGES_LEFT else 'more'}"]


def lengths(finished: Round) -> dict[str, float]:
    """Lengths of prompts and completions, and by tier the mean of completions [tokens]."""
    prompts = [group.prompt_tokens for group in finished.groups]
    completions = [sample.tokens for sample in finished.samples]
    tiers: dict[str, list[int]] = {}
    for group in finished.groups:
        written = [sample.tokens for sample in group.samples]
        tiers.setdefault(group.subtask.problem.difficulty, []).extend(written)
    return {
        "prompt/mean": fmean(prompts),
        "prompt/max": float(max(prompts)),
        "completion/mean": fmean(completions),
        "completion/p50": _percentile(completions, 50),
        "completion/p90": _percentile(completions, 90),
        "completion/max": float(max(completions)),
        **{f"completion/mean/{tier}": fmean(tiers[tier]) for tier in sorted(tiers)},
    }


def revealed(groups: Sequence[JudgedGroup]) -> float:
    """Mean share of the canonical solution that the prompts gave as prefix."""
    subtasks = [group.subtask for group in groups]
    return fmean(len(s.prefix) / max(1, len(s.prefix) + len(s.remainder)) for s in subtasks)


def _percentile(values: Sequence[int], percent: int) -> float:
    if len(values) == 1:
        return float(values[0])
    return quantiles(values, n=100, method="inclusive")[percent - 1]
