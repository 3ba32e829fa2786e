"""The experience of one update: masks, scores, advantages and returns of a batch.

All of it is computed once, before the first optimizer step of the update is taken.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.agreement import logprob_difference
from learner.algorithm.advantage import (
    dr_grpo,
    explained_variance,
    gae,
    grpo,
    reward_to_go,
    rloo,
    token_rewards,
    whiten,
)
from learner.algorithm.kl import kl_estimate
from learner.algorithm.loss import importance_weights
from learner.config import LearnerConfig
from learner.reward import overlong_penalty
from learner.trajectory import Sampled

_RANDOM = ("random", "random_error", "random_divergence")
"""The masks that are controls of others."""
REASONS = (
    "not executed",
    "not blamed",
    "before divergence",
    "at random",
    "cut away",
    "truncated",
    "aborted",
)
"""Why a token is not in the policy loss; the last that applies is the one that is told."""


@dataclass(frozen=True)
class Scores:
    """Outputs of the models for the response tokens, before the update. All [samples,
    response_len].
    """

    logprobs: Tensor
    """Log-probabilities by the policy before the update, in nats: the denominator of the ratio."""
    reference_logprobs: Tensor | None
    """Log-probabilities by the frozen reference, in nats; None if there is no KL penalty."""
    entropies: Tensor
    """Entropy of the policy's distribution at each token, in nats."""
    values: Tensor | None
    """Critic's value of the state before each token; None if there is no critic."""
    rollout_logprobs: Tensor
    """Log-probabilities by the engines that sampled, in nats."""


@dataclass(frozen=True)
class Masks:
    """Tokens that take part in each computation. All [samples, response_len] bool.

    Fine-grained optimization (FGO, StepCoder, section 3.3) leaves out tokens that no test executed,
    in the terms that `LearnerConfig.mask_covers` names.
    """

    response: Tensor
    """Every generated token: rewards, advantages and whitening."""
    policy: Tensor
    """Tokens in the policy loss and the entropy bonus: besides those that FGO leaves out it does
    not hold text cut away behind the program (`LearnerConfig.cut_away`), responses cut off at their
    limit (`LearnerConfig.truncated`), and responses that the engine aborted.
    """
    value: Tensor
    """Tokens in the value loss."""
    kl: Tensor
    """Tokens with a KL penalty."""


@dataclass(frozen=True)
class Experience:
    """The fixed inputs of the losses. All [samples, response_len], zero outside the response."""

    masks: Masks
    scores: Scores
    advantages: Tensor
    returns: Tensor | None
    """Targets of the critic; None if there is no critic."""
    estimator: dict[str, float]
    """Metrics of the advantages' estimator."""
    importance_cap: float | None
    """`LearnerConfig.importance_cap`."""

    @property
    def weights(self) -> Tensor | None:
        """Truncated importance weights of the policy loss; None if it is not weighted."""
        if self.importance_cap is None:
            return None
        return importance_weights(
            self.scores.logprobs, self.scores.rollout_logprobs, self.importance_cap
        )


def make_masks(
    trajectories: Sequence[Sampled], config: LearnerConfig, update: int, device: torch.device
) -> Masks:
    """The masks of a batch, by `config.mask`, `mask_covers`, `cut_away` and `truncated`.

    A random mask drops as many tokens of each response as the mask it is the control of, of those
    that were not cut away. Which ones depends only on `config.seed`, `update` and the sample's id.

    Args:
        trajectories: the batch.
        config: the learner's.
        update: number of the update, from 0.
        device: of the masks.
    """
    response_len = max((len(t.response_ids) for t in trajectories), default=0)
    tables = np.zeros((3, len(trajectories), response_len), np.bool_)
    for row, trajectory in enumerate(trajectories):
        length = len(trajectory.response_ids)
        tables[0, row, :length] = True
        tables[1, row, :length] = _kept(trajectory, config, update)
        tables[2, row, :length] = _learned(trajectory, config)
    response, kept, learned = torch.tensor(tables, device=device)
    policy, value, kl = (
        kept if term in config.mask_covers else response for term in ("policy", "value", "kl")
    )
    return Masks(response, policy & learned, value, kl)


def _kept(trajectory: Sampled, config: LearnerConfig, update: int) -> NDArray[np.bool_]:
    """The tokens that `config.mask` keeps."""
    kept = np.array(trajectory.executed_mask, np.bool_)
    if config.mask == "none":
        return np.ones_like(kept)
    if config.mask in ("error", "random_error") and trajectory.blamed_mask is not None:
        kept = np.array(trajectory.blamed_mask, np.bool_)
    if config.mask in ("divergence", "random_divergence"):
        begin, end = trajectory.agreed or (0, 0)
        if kept[end:].any():
            kept[begin:end] = False
    if config.mask in _RANDOM:
        places = ~np.asarray(trajectory.cut_mask, np.bool_)
        shuffled = kept[places].tolist()
        seed = f"{config.seed}/{update}/{trajectory.sample_id:09d}"
        random.Random(seed).shuffle(shuffled)
        kept[places] = shuffled
    return kept


def _learned(trajectory: Sampled, config: LearnerConfig) -> NDArray[np.bool_]:
    """The tokens that may be in the policy loss, whether executed or not."""
    reason, tokens = trajectory.finish_reason, len(trajectory.response_ids)
    if reason == "abort" or (reason == "length" and config.truncated == "mask"):
        return np.zeros(tokens, np.bool_)
    if config.cut_away == "learn":
        return np.ones(tokens, np.bool_)
    return ~np.asarray(trajectory.cut_mask, np.bool_)


def left_out(trajectory: Sampled, config: LearnerConfig, update: int) -> list[str]:
    """Why each token is not in the policy loss, one of `REASONS`; "" for one that is in it.

    Args:
        trajectory: of the batch.
        config: the learner's.
        update: number of the update, from 0.
    """
    reason, tokens = trajectory.finish_reason, len(trajectory.response_ids)
    if reason == "abort":
        return ["aborted"] * tokens
    if reason == "length" and config.truncated == "mask":
        return ["truncated"] * tokens
    kept, learned = _kept(trajectory, config, update), _learned(trajectory, config)
    masked = "policy" in config.mask_covers

    def why(executed: bool) -> str:
        if config.mask in _RANDOM:
            return "at random"
        if not executed:
            return "not executed"
        return "not blamed" if config.mask == "error" else "before divergence"

    return [
        "cut away" if not may_learn else why(executed) if masked and not keeps else ""
        for keeps, may_learn, executed in zip(kept, learned, trajectory.executed_mask, strict=True)
    ]


def needs_scores(config: LearnerConfig) -> bool:
    """Whether the advantages depend on scores: on values, or on a KL penalty in the reward."""
    penalised = config.kl_coefficient > 0 and config.kl_in == "reward"
    return config.advantage == "gae" or penalised


def make_experience(
    trajectories: Sequence[Sampled],
    groups: Tensor,
    masks: Masks,
    scores: Scores,
    config: LearnerConfig,
) -> Experience:
    """The experience of a batch: a pure function, the same on every rank.

    Args:
        trajectories: the batch.
        groups: [samples] int64, the number of the group each trajectory belongs to, from 0.
        masks: of the batch.
        scores: by the models, before the update; those of the policy may be filled in later if the
            advantages do not need them (`needs_scores`).
        config: the learner's.
    """
    outcomes = [t.reward - overlong_penalty_of(t, config) for t in trajectories]
    advantages, returns, estimator = _advantages(outcomes, groups, masks, scores, config)
    return Experience(masks, scores, advantages, returns, estimator, config.importance_cap)


def batch_metrics(
    trajectories: Sequence[Sampled], experience: Experience, config: LearnerConfig
) -> dict[str, float]:
    """Metrics of a batch before the update.

    Args:
        trajectories: the batch.
        experience: of the batch, all its scores filled in.
        config: the learner's.
    """
    masks, scores, response = experience.masks, experience.scores, experience.masks.response
    tokens = response.sum().clamp(min=1)
    metrics = {
        "reward": sum(t.reward for t in trajectories) / len(trajectories),
        "entropy": float(scores.entropies[response].sum() / tokens),
        "masked_share": float(1 - masks.policy.sum() / tokens) if response.any() else 0.0,
        **_masked_by_outcome(trajectories, masks),
        "tokens": float(response.sum()),
        "truncated_share": _share(t.finish_reason == "length" for t in trajectories),
        "aborted_share": _share(t.finish_reason == "abort" for t in trajectories),
        "cut_away_share": sum(int(np.sum(t.cut_mask)) for t in trajectories) / int(tokens),
        **experience.estimator,
    }
    if config.mask in ("error", "random_error"):
        metrics |= _blame_metrics(trajectories)
    if config.mask in ("divergence", "random_divergence"):
        metrics["diverged_responses"] = _share(t.agreed is not None for t in trajectories)
    if config.truncated == "penalise":
        penalties = [overlong_penalty_of(t, config) for t in trajectories]
        metrics["overlong_penalty"] = sum(penalties) / len(penalties)
    if scores.reference_logprobs is not None:
        kl = kl_estimate(scores.logprobs, scores.reference_logprobs, "k1")
        metrics["kl"] = float(kl[response].sum() / tokens)
    if (weights := experience.weights) is not None:
        metrics["importance_weight"] = float(weights[response].sum() / tokens)
        capped = weights[response] == weights.new_tensor(config.importance_cap)
        metrics["importance_capped_share"] = float(capped.sum() / tokens)
    return metrics


def _masked_by_outcome(trajectories: Sequence[Sampled], masks: Masks) -> dict[str, float]:
    """`masked_share` of the responses with each outcome that the batch has."""
    counts: Any = torch.stack((masks.response.sum(-1), masks.policy.sum(-1)))
    tokens, kept = counts.tolist()
    of_outcome: dict[str, list[int]] = {}
    for row, trajectory in enumerate(trajectories):
        sums = of_outcome.setdefault(trajectory.outcome, [0, 0])
        sums[0] += tokens[row]
        sums[1] += kept[row]
    return {
        f"masked_share/{outcome}": 1 - sums[1] / sums[0]
        for outcome, sums in sorted(of_outcome.items())
        if sums[0]
    }


def _blame_metrics(trajectories: Sequence[Sampled]) -> dict[str, float]:
    """How many responses have a known culprit, and how many executed tokens carry no blame."""
    culprits = [t for t in trajectories if t.blamed_mask is not None]
    spared = sum(
        int(np.sum(np.asarray(t.executed_mask, np.bool_) & ~np.asarray(t.blamed_mask, np.bool_)))
        for t in culprits
    )
    tokens = sum(len(t.response_ids) for t in trajectories)
    return {
        "blamed_responses": len(culprits) / len(trajectories),
        "not_blamed_share": spared / max(1, tokens),
    }


def _share(flags: Iterable[bool]) -> float:
    listed = list(flags)
    return sum(listed) / len(listed)


def overlong_penalty_of(trajectory: Sampled, config: LearnerConfig) -> float:
    """What a trajectory's length takes from its reward."""
    if config.truncated != "penalise":
        return 0.0
    assert config.max_response_tokens is not None
    return config.overlong_penalty * overlong_penalty(
        len(trajectory.response_ids),
        trajectory.finish_reason == "length",
        config.max_response_tokens,
        config.overlong_share,
    )


def _advantages(
    rewards_of_samples: Sequence[float],
    groups: Tensor,
    masks: Masks,
    scores: Scores,
    config: LearnerConfig,
) -> tuple[Tensor, Tensor | None, dict[str, float]]:
    """Advantages, returns if there is a critic, and metrics of the estimator."""
    response = masks.response
    outcomes = torch.tensor(rewards_of_samples, device=response.device)
    penalty = torch.zeros_like(scores.logprobs)
    if config.kl_in == "reward" and scores.reference_logprobs is not None:
        penalty = kl_estimate(scores.logprobs, scores.reference_logprobs, config.kl_estimator)
    rewards = token_rewards(
        outcomes, penalty, response, config.kl_coefficient, config.kl_clip, masks.kl
    )
    if config.advantage == "gae":
        assert scores.values is not None
        advantages, returns = gae(rewards, scores.values, response, config.gamma, config.gae_lambda)
        variance = explained_variance(scores.values, returns, response)
        return whiten(advantages, response), returns, {"explained_variance": variance}
    if config.advantage == "reinforce++":
        return whiten(reward_to_go(rewards, response, config.gamma), response), None, {}
    estimate = {"grpo": grpo, "dr_grpo": dr_grpo, "rloo": rloo}[config.advantage]
    # An empty response has no token for its reward, but its score counts in its group.
    scores_of_samples = torch.where(response.any(-1), rewards.sum(-1), outcomes)
    by_sample = estimate(scores_of_samples, groups)
    count = int(groups.max()) + 1
    informative = groups[by_sample != 0].bincount(minlength=count)
    share = 1 - int((informative > 0).sum()) / count
    advantages = torch.where(response, by_sample[:, None], 0.0)
    return advantages, None, {"groups_without_signal": share}


def logprob_differences(
    trajectories: Sequence[Sampled],
    scores: Scores,
    response: Tensor,
    weight_version: int | None,
) -> dict[str, float]:
    """Differences between the rollout engine's and the trainer's log-probabilities, in nats.

    Only fresh samples are compared: for a stale one the two have different weights.

    Args:
        trajectories: the batch.
        scores: by the trainer, before the update.
        response: [samples, response_len] bool.
        weight_version: of the trainer's weights; None treats every sample as fresh.

    Returns:
        Metrics: largest, 99th percentile and mean absolute difference of a token, and mean
        staleness [updates].
    """
    age = [0 if weight_version is None else weight_version - t.weight_version for t in trajectories]
    fresh = torch.tensor([not lag for lag in age], device=response.device)
    compared = response & fresh[:, None]
    apart: Any = (scores.rollout_logprobs - scores.logprobs).abs()[compared]
    difference = logprob_difference(apart.tolist())
    return {
        "rollout_trainer_logprob_diff": difference.largest,
        "rollout_trainer_logprob_diff_p99": difference.p99,
        "rollout_trainer_logprob_diff_mean": difference.mean,
        "staleness": sum(age) / len(age),
    }
