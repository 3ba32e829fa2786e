"""The samples that broke an update, written to files for a person and for a program."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learner.algorithm.experience import Experience
from learner.models.batch import BrokenGradient, TokenBatch
from learner.tokenizer import completion_text
from learner.trajectory import Sampled

SCORES = ("old_logprob", "reference_logprob", "entropy", "value")
"""Names of the scores of a sample's tokens, in the order in which the learner computes them."""


class FaultDump:
    """Writes the samples that broke an update on one rank.

    Each fault is two files: a JSON for a person (what happened, then each sample token by token,
    with its text and its value in every table) and a .pt for a program (the tables as tensors, and
    the token ids).

    Args:
        folder: created with the first fault.
        rank: of this process.
        token_bytes: the bytes of each token id (`learner.tokenizer.token_bytes`).
    """

    def __init__(self, folder: Path, rank: int, token_bytes: Sequence[bytes]) -> None:
        self._folder, self._rank, self._token_bytes = Path(folder), rank, token_bytes

    def micro_batches(
        self,
        facts: dict[str, Any],
        bad: Tensor,
        figures: Tensor,
        broken: Sequence[Sequence[BrokenGradient]],
        micro_batches: Sequence[Sequence[int]],
        batches: Sequence[TokenBatch],
        trajectories: Sequence[Sampled],
        experience: Experience,
    ) -> str:
        """Write this rank's micro-batches whose loss or gradient is not finite. Collective.

        Args:
            facts: JSON-able: update, optimizer step, rank.
            bad: [micro-batches] bool.
            figures: [micro-batches, 2, 2], loss and largest gradient norm of policy and critic.
            broken: for each micro-batch and engine where the gradient is not finite.
            micro_batches: the samples of each.
            batches: the tokens of each.
            trajectories: of the whole batch.
            experience: of the whole batch.

        Returns:
            The faults of all ranks in one line, with the paths of the files.
        """
        faults = []
        for at in bad.nonzero()[:, 0].tolist():
            quantity = "gradient" if torch.isfinite(figures[at, :, 0]).all() else "loss"
            rows = micro_batches[at]
            samples = [trajectories[i] for i in rows]
            losses = map(_readable, figures[at, :, 0].tolist())
            record = {
                "fault": f"the {quantity} is not finite",
                **facts,
                "micro_batch": at,
                "losses": dict(zip(("policy", "critic"), losses, strict=True)),
                "samples_with_broken_gradient": [
                    sample.sample_id
                    for sample, *flags in zip(
                        samples, *map(batches[at].sequences_with, broken[at]), strict=True
                    )
                    if any(flags)
                ],
            }
            path = self.write(record, samples, _tables(experience, rows))
            names = ", ".join(str(t.sample_id) for t in samples)
            faults.append(
                f"the {quantity} is not finite in micro-batch {at} of rank {self._rank} "
                f"(samples {names}){path}"
            )
        return "; ".join(_of_all_ranks(faults))

    def scores(
        self,
        facts: dict[str, Any],
        own: Sequence[int],
        trajectories: Sequence[Sampled],
        table: Tensor,
    ) -> str:
        """Write this rank's samples whose scores are not finite. Collective.

        Args:
            facts: JSON-able: the fault and the update.
            own: places of these samples in the batch.
            trajectories: of the whole batch.
            table: [scores, samples, response_len].

        Returns:
            The paths of the files of all ranks, to end a message with.
        """
        rows = list(own)
        tables = {name: part[rows] for name, part in zip(SCORES, table, strict=False)}
        paths = [self.write(facts, [trajectories[i] for i in rows], tables)] if rows else []
        return "".join(_of_all_ranks(paths))

    def write(
        self,
        facts: dict[str, Any],
        trajectories: Sequence[Sampled],
        tables: dict[str, Tensor],
    ) -> str:
        """Write one fault.

        Args:
            facts: JSON-able; `update`, `optimizer_step` and `micro_batch` go into the file's name.
            trajectories: the samples.
            tables: by name [samples, response_len], one row per trajectory.

        Returns:
            ", written to PATH", to end a message with.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        parts = [f"update-{facts['update']:06d}", f"rank-{self._rank}"]
        parts += [
            f"{key}-{facts[key]}" for key in ("optimizer_step", "micro_batch") if key in facts
        ]
        path = self._folder / f"{'-'.join(parts).replace('_', '-')}.json"
        tables = {name: table.detach().cpu() for name, table in tables.items()}
        samples = [
            _sample(
                trajectory, {name: table[row] for name, table in tables.items()}, self._token_bytes
            )
            for row, trajectory in enumerate(trajectories)
        ]
        record = {**facts, "samples": samples}
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        ids = {
            t.sample_id: [np.asarray(part).tolist() for part in (t.prompt_ids, t.response_ids)]
            for t in trajectories
        }
        torch.save({"token_ids": ids, **tables}, path.with_suffix(".pt"))
        return f", written to {path}"


def _of_all_ranks(lines: list[str]) -> list[str]:
    by_rank: list[list[str]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(by_rank, lines)
    return [line for of_rank in by_rank for line in of_rank]


def _tables(experience: Experience, rows: Sequence[int]) -> dict[str, Tensor]:
    """The experience of some samples by name: [samples, response_len] each."""
    scores = experience.scores
    tables = {
        "old_logprob": scores.logprobs,
        "reference_logprob": scores.reference_logprobs,
        "value": scores.values,
        "advantage": experience.advantages,
        "return": experience.returns,
        "weight": experience.weights,
        "in_policy_loss": experience.masks.policy,
    }
    return {name: table[list(rows)] for name, table in tables.items() if table is not None}


def _sample(
    trajectory: Sampled, tables: dict[str, Tensor], token_bytes: Sequence[bytes]
) -> dict[str, Any]:
    def text(token_ids: Sequence[int]) -> str:
        return completion_text(token_ids, token_bytes)

    tokens = [
        {
            "id": int(token_id),
            "text": text([int(token_id)]),
            "executed": bool(trajectory.executed_mask[at]),
            "cut_away": bool(trajectory.cut_mask[at]),
            "rollout_logprob": float(trajectory.rollout_logprobs[at]),
            **{name: _readable(row[at].item()) for name, row in tables.items()},
        }
        for at, token_id in enumerate(trajectory.response_ids)
    ]
    return {
        "sample_id": trajectory.sample_id,
        "problem_id": trajectory.problem_id,
        "stage": trajectory.stage,
        "outcome": trajectory.outcome,
        "finish_reason": trajectory.finish_reason,
        "reward": trajectory.reward,
        "weight_version": trajectory.weight_version,
        "prompt": text(np.asarray(trajectory.prompt_ids).tolist()),
        "response": text(np.asarray(trajectory.response_ids).tolist()),
        "tokens": tokens,
    }


def _readable(value: float | bool) -> float | bool | str:
    """The value, or its name where JSON has no number for it (NaN, infinity)."""
    return value if isinstance(value, bool) or math.isfinite(value) else str(value)
