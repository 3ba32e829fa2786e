"""Numbers that are not finite or do not agree: the errors, and the record of the samples."""

import json
import math
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learner.algorithm.experience import Experience
from learner.trajectory import Trajectory


class NonFiniteError(ArithmeticError):
    """A loss, gradient or log-probability is NaN or infinite. Go on from the last checkpoint."""


class LogprobMismatchError(ArithmeticError):
    """The rollout engine's log-probabilities are not the trainer's; nothing was learned."""


class FaultLog:
    """Where one rank writes the samples that broke an update.

    Each fault is two files: a JSON for a person (what happened, then each sample token by token:
    its text and what every table says of it) and a .pt for a program (the tables as they are, and
    the token ids).
    """

    def __init__(self, folder: Path, rank: int, pieces: Sequence[bytes]) -> None:
        """`folder` is created with the first fault; `pieces` are the bytes of each token id."""
        self._folder, self._rank, self._pieces = Path(folder), rank, pieces

    def micro_batches(
        self,
        facts: dict[str, Any],
        bad: Tensor,
        figures: Tensor,
        broken: Sequence[Sequence[Tensor | None]],
        micro_batches: Sequence[Sequence[int]],
        trajectories: Sequence[Trajectory],
        experience: Experience,
    ) -> str:
        """Write this rank's micro-batches whose loss or gradient is not finite; returns what every
        rank found, as one line. Collective.

        Args:
            facts: JSON-able: update, optimizer step, rank.
            bad: [micro-batches] bool.
            figures: [micro-batches, 2, 2], loss and largest gradient of policy and critic.
            broken: for each micro-batch and engine, [tokens] bool, which of its row had a broken
                gradient.
            micro_batches: the samples of each.
            trajectories: of the whole batch.
            experience: of the whole batch.
        """
        faults = []
        for at in bad.nonzero()[:, 0].tolist():
            what = "gradient" if torch.isfinite(figures[at, :, 0]).all() else "loss"
            samples = micro_batches[at]
            wrong = [trajectories[i] for i in samples]
            suspects = _suspects(wrong, [tokens for tokens in broken[at] if tokens is not None])
            losses = map(_readable, figures[at, :, 0].tolist())
            known = {
                "fault": f"the {what} is not finite",
                **facts,
                "micro_batch": at,
                "losses": dict(zip(("policy", "critic"), losses, strict=True)),
                "samples_with_broken_gradient": suspects,
            }
            where = self.write(known, wrong, _tables(experience, samples))
            names = ", ".join(str(t.sample_id) for t in wrong)
            faults.append(
                f"the {what} is not finite in micro-batch {at} of rank {self._rank} "
                f"(samples {names}){where}"
            )
        everywhere: list[list[str]] = [[] for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather_object(everywhere, faults)
        return "; ".join(fault for rank_faults in everywhere for fault in rank_faults)

    def write(
        self,
        facts: dict[str, Any],
        trajectories: Sequence[Trajectory],
        tables: dict[str, Tensor],
    ) -> str:
        """Write `facts` and some samples; returns where, as the end of a message.

        Args:
            facts: JSON-able.
            trajectories: the samples.
            tables: [samples, response_len], one row per trajectory.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        parts = [f"update-{facts['update']:06d}", f"rank-{self._rank}"]
        parts += [
            f"{key}-{facts[key]}" for key in ("optimizer_step", "micro_batch") if key in facts
        ]
        path = self._folder / f"{'-'.join(parts).replace('_', '-')}.json"
        tables = {name: table.detach().cpu() for name, table in tables.items()}
        samples = [
            _sample(trajectory, {name: table[row] for name, table in tables.items()}, self._pieces)
            for row, trajectory in enumerate(trajectories)
        ]
        record = {**facts, "samples": samples}
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        ids = {t.sample_id: [list(t.prompt_ids), list(t.response_ids)] for t in trajectories}
        torch.save({"token_ids": ids, **tables}, path.with_suffix(".pt"))
        return f", written to {path}"


def _suspects(trajectories: Sequence[Trajectory], broken: Sequence[Tensor]) -> list[int]:
    """Samples with a broken token, of those that lie end to end in a row."""
    ends = list(accumulate(len(t.token_ids) for t in trajectories))
    return [
        t.sample_id
        for t, end in zip(trajectories, ends, strict=True)
        if any(bool(tokens[end - len(t.token_ids) : end].any()) for tokens in broken)
    ]


def _tables(experience: Experience, rows: Sequence[int]) -> dict[str, Tensor]:
    """What the experience says of some samples, by name: [samples, response_len] each."""
    scores = experience.scores
    found = {
        "old_logprob": scores.logprobs,
        "reference_logprob": scores.reference_logprobs,
        "value": scores.values,
        "advantage": experience.advantages,
        "return": experience.returns,
        "weight": experience.weights,
        "in_policy_loss": experience.masks.policy,
    }
    return {name: table[list(rows)] for name, table in found.items() if table is not None}


def _sample(
    trajectory: Trajectory, tables: dict[str, Tensor], pieces: Sequence[bytes]
) -> dict[str, Any]:
    def text(token_ids: Sequence[int]) -> str:
        known = (pieces[i] if i < len(pieces) else b"" for i in token_ids)
        return b"".join(known).decode("utf-8", errors="replace")

    tokens = [
        {
            "id": token_id,
            "text": text([token_id]),
            "executed": trajectory.executed_mask[at],
            "rollout_logprob": trajectory.rollout_logprobs[at],
            **{name: _readable(row[at].item()) for name, row in tables.items()},
        }
        for at, token_id in enumerate(trajectory.response_ids)
    ]
    return {
        "sample_id": trajectory.sample_id,
        "problem_id": trajectory.problem_id,
        "stage": trajectory.stage,
        "outcome": trajectory.outcome,
        "reward": trajectory.reward,
        "weight_version": trajectory.weight_version,
        "prompt": text(trajectory.prompt_ids),
        "response": text(trajectory.response_ids),
        "tokens": tokens,
    }


def _readable(value: float | bool) -> float | bool | str:
    """JSON has no NaN and no infinity."""
    return value if isinstance(value, bool) or math.isfinite(value) else str(value)
