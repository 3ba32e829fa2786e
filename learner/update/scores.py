"""The scores of a batch: what models and engines say of every response token before the update."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from learner.agreement import LogprobDifference
from learner.algorithm.experience import Scores, logprob_differences
from learner.config import LearnerConfig
from learner.errors import LogprobMismatchError, NonFiniteError
from learner.trajectory import Sampled
from learner.update.nonfinite import FaultDump
from learner.zero.distributed import sum_over_ranks


class ScoreTable:
    """The scores of one update's batch, filled micro-batch by micro-batch.

    Lifecycle: `fill()` for each micro-batch of some samples on the rank that has it, then
    `exchange()` on all ranks for these samples. `scores` are views, which see what is filled later.

    Args:
        samples: the batch.
        response: [samples, response_len] bool.
        config: the learner's.
    """

    def __init__(self, samples: Sequence[Sampled], response: Tensor, config: LearnerConfig) -> None:
        self._samples, self._response, self._config = samples, response, config
        self._table = torch.zeros(5, *response.shape, device=response.device)
        logprobs, reference, entropies, values, by_engines = self._table
        self.scores = Scores(
            logprobs,
            reference if config.kl_coefficient else None,
            entropies,
            values if config.advantage == "gae" else None,
            by_engines,
        )

    def fill(self, rows: Sequence[int], scores: Tensor) -> None:
        """Enter the scores of one micro-batch.

        Args:
            rows: its samples.
            scores: [4, targets], log-probabilities by policy and reference, entropies and values,
                one sample after the other; zeros where there is no reference or critic.
        """
        device = self._table.device
        engines = [np.asarray(self._samples[i].rollout_logprobs, np.float32) for i in rows]
        by_engines = torch.from_numpy(np.concatenate([np.zeros(0, np.float32), *engines]))
        places = torch.tensor(rows, dtype=torch.long, device=device)
        block = torch.zeros(5, len(rows), self._response.shape[1], device=device)
        block[:4, self._response[places]] = scores
        block[4, self._response[places]] = by_engines.to(device)
        self._table[:, places] = block

    def exchange(
        self, samples: Sequence[int], own: Sequence[int], dump: FaultDump, update: int
    ) -> None:
        """Give every rank the scores of these samples, each of which one rank has filled in.
        Collective.

        Args:
            samples: the same on every rank.
            own: those that this rank has filled in.
            dump: writes those that are not finite.
            update: number of the update, from 0.

        Raises:
            NonFiniteError: a score is not finite; names the samples.
        """
        places = torch.tensor(samples, dtype=torch.long, device=self._table.device)
        self._table[:, places] = part = sum_over_ranks(self._table[:, places])
        broken = (~torch.isfinite(part).all(0).all(-1)).nonzero()[:, 0]
        bad: list[int] = sorted(places[broken].tolist())
        if not bad:
            return
        fault = "log-probabilities or values are not finite"
        facts = {"fault": fault, "update": update}
        mine = sorted(set(own).intersection(bad))
        paths = dump.scores(facts, mine, self._samples, self._table)
        raise NonFiniteError(
            f"update {update}: {fault} for samples "
            f"{', '.join(str(self._samples[i].sample_id) for i in bad)}: "
            f"the weights are broken{paths}"
        )

    def compare_with_engines(self, weight_version: int | None) -> dict[str, float]:
        """Metrics of how far the engines' log-probabilities are from the trainer's
        (`logprob_differences`)."""
        return logprob_differences(self._samples, self.scores, self._response, weight_version)


def check_rollout_logprobs(
    differences: dict[str, float],
    config: LearnerConfig,
    dtype: torch.dtype,
    position: str,
    temperature: float,
) -> str | None:
    """Judge whether rollout engine and trainer agree on fresh samples.

    Args:
        differences: from `ScoreTable.compare_with_engines`.
        config: the learner's; `logprob_diff_alarm` and `logprob_diff_limit` are its.
        dtype: of the trainer's weights.
        position: begins the message.
        temperature: of the rollouts.

    Returns:
        What to warn of; None if they agree, or the alarm is off.

    Raises:
        LogprobMismatchError: they disagree, and the alarm is `raise`.
    """
    name = "rollout_trainer_logprob_diff"
    difference = LogprobDifference(
        differences[name], differences[f"{name}_p99"], differences[f"{name}_mean"]
    )
    exact = dtype == torch.float32 and config.cpu_products == "float32"
    violation = difference.violation(exact, config.logprob_diff_limit)
    if not violation or config.logprob_diff_alarm == "off":
        return None
    message = (
        f"{position}: log-probabilities by the rollout engine and by the trainer "
        f"differ: {violation} (learner.logprob_diff_limit): the engine holds other weights, "
        f"samples at another temperature than {temperature:g}, or computes in another "
        "precision; in the last case raise the limit"
    )
    if config.logprob_diff_alarm == "raise":
        raise LogprobMismatchError(message)
    return message
