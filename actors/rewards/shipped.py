"""The shipped reward of a judged sample: its outcome, and the terms that are configured."""

from __future__ import annotations

from actors.rollout.samples import Sample
from learner.config import RewardConfig
from learner.reward import Reward, outcome_reward
from sandbox import TestOutcome

_OF_FORM = frozenset({"reasoning", "fence"})
"""What may be cut away from a response that has the asked form."""


def shipped_reward(sample: Sample, config: RewardConfig, longest: int) -> Reward:
    """The reward of a sample without the user's function.

    Args:
        sample: judged.
        config: outcomes and weights.
        longest: longest response [tokens].

    Raises:
        ValueError: the sandbox could not judge the sample; there is no reward for that.
    """
    verdict, completion = sample.verdict, sample.completion
    parts = {"outcome": outcome_reward(verdict.outcome.value, config)}
    if config.tests_passed:
        passed = sum(test.outcome is TestOutcome.passed for test in verdict.tests)
        parts["tests_passed"] = config.tests_passed * passed / max(1, len(verdict.tests))
    if config.length:
        parts["length"] = config.length * len(completion.token_ids) / longest
    if config.format:
        of_form = completion.finish_reason == "stop" and all(
            cut.rule in _OF_FORM for cut in sample.program.cuts
        )
        parts["format"] = config.format * of_form
    return Reward(sum(parts.values()), parts)
