"""RolloutLog: whole groups of rollouts on disk, with the values of every token.

runs/<name>/rollouts/step-000001.jsonl.gz    a line for each recorded group of the step

A step's file is written whole or not at all, so a run that is killed leaves no part of one.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.errors import RunFailed
from actors.rollout.round import JudgedGroup
from actors.rollout.samples import RolloutGroup, Sample, trajectory
from actors.runs.records import problem_record, verdict_record
from learner.reward import Reward

if TYPE_CHECKING:  # the driver imports no torch for it
    from learner.algorithm.token_values import TokenValues

FORMAT = 1
"""Version of the lines, in each of them."""
_DIGITS = 5
"""Decimals of a token's numbers; a log-probability is exact to 1e-5 nats."""


class RolloutLog:
    """Chooses the groups of each step that are recorded, and writes them.

    Example:
        chosen = log.choose(finished.groups)
        ...                                     # the update, which copies the samples' values
        await log.write(step, chosen, values)
    """

    def __init__(self, folder: Path, groups: int | None) -> None:
        """Write into `folder`.

        Args:
            folder: made with the first file.
            groups: most groups of a step; None records all.
        """
        self._folder = folder
        self._groups = groups

    def places(self, problems: Sequence[str]) -> list[int]:
        """Which of these problems' groups are recorded: their places, in order.

        Problems have a fixed order that is unrelated to their content, and the first ones of it are
        taken: the same problem is met again in later steps. What is recorded of several rounds is
        among what is recorded of each.

        Args:
            problems: ids of the problems of a step, or of one of its rounds.
        """
        by_problem = sorted(range(len(problems)), key=lambda at: (_place(problems[at]), at))
        return sorted(by_problem[: self._groups])

    def choose(self, groups: Sequence[JudgedGroup]) -> tuple[JudgedGroup, ...]:
        """The groups to record, in the order of the step; all of them have their details."""
        places = self.places([group.subtask.problem.id for group in groups])
        return tuple(groups[at] for at in places)

    async def write(
        self,
        step: int,
        groups: Sequence[JudgedGroup],
        values: Mapping[int, TokenValues],
    ) -> None:
        """Write the file of one step in a thread; nothing where there is no group.

        Args:
            step: the RL step that trained on the groups.
            groups: those chosen.
            values: by sample id, for the samples that were trained on.
        """
        rewards = {s.sample_id: s.reward for group in groups for s in group.samples if s.reward}
        details = [group.detail for group in groups if group.detail is not None]
        if details:
            await asyncio.to_thread(self._write, step, details, values, rewards)

    def _write(
        self,
        step: int,
        groups: Sequence[RolloutGroup],
        values: Mapping[int, TokenValues],
        rewards: Mapping[int, Reward],
    ) -> None:
        self._folder.mkdir(exist_ok=True)
        path = step_file(self._folder, step)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            # Without a name and a time, the same rollouts give the same bytes.
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                text = io.TextIOWrapper(packed, encoding="utf-8", errors="backslashreplace")
                for group in groups:
                    record = group_record(step, group, values, rewards)
                    text.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
                text.flush()
                text.detach()
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def step_file(folder: Path, step: int) -> Path:
    """The file of one step."""
    return folder / f"step-{step:06d}.jsonl.gz"


def recorded_steps(folder: Path) -> list[Path]:
    """The files of the recorded steps, in order."""
    return sorted(folder.glob("step-*.jsonl.gz"))


def read_rollouts(path: Path) -> Iterator[dict[str, Any]]:
    """The groups of one step's file.

    Raises:
        RunFailed: the file is damaged, or another version wrote it.
    """
    try:
        if not path.stat().st_size:  # gzip takes it for a step without groups
            raise EOFError("it is empty")
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                group = json.loads(line)
                found = group.get("format") if isinstance(group, dict) else None
                if found != FORMAT:
                    raise RunFailed(
                        f"{path}: line {number} has format {found!r}, and this version reads "
                        f"{FORMAT}: record the run again with this version"
                    )
                yield group
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise RunFailed(f"{path}: not a file of recorded rollouts: {error}") from None


def truncate_rollouts(folder: Path, steps: int) -> None:
    """Remove the files of steps after `steps`, and one that a crash left unfinished."""
    kept = {step_file(folder, step).name for step in range(1, steps + 1)}
    for path in folder.glob("step-*"):
        if path.name not in kept:
            path.unlink()


def group_record(
    step: int,
    group: RolloutGroup,
    values: Mapping[int, TokenValues],
    rewards: Mapping[int, Reward],
) -> dict[str, Any]:
    """One line: a prompt and all its samples."""
    subtask = group.subtask
    return {
        "format": FORMAT,
        "step": step,
        "stage": subtask.stage,
        "stages": subtask.stages,
        "prefix": group.prompt.prefix,
        "prompt": group.prompt.text,
        "prompt_tokens": len(group.prompt.ids),
        "prompt_ids": group.prompt.ids,
        **problem_record(subtask.problem),
        "samples": [
            _sample_record(
                group, sample, values.get(sample.sample_id), rewards.get(sample.sample_id)
            )
            for sample in group.samples
        ],
    }


def _sample_record(
    group: RolloutGroup, sample: Sample, values: TokenValues | None, reward: Reward | None
) -> dict[str, Any]:
    made = None if reward is None else trajectory(group, sample, reward)
    program, completion = sample.program, sample.completion
    return {
        "sample_id": sample.sample_id,
        "weight_version": completion.weight_version,
        "finish_reason": completion.finish_reason,
        "generation_seconds": round(completion.seconds, 6),
        "completion": sample.text,
        "program": program.source,
        "program_bytes": [program.begin, program.end],
        "cuts": [[cut.begin, cut.end, cut.rule] for cut in program.cuts],
        **verdict_record(sample.verdict),
        "reward": reward.value if reward else None,
        "reward_terms": reward.parts if reward else None,
        "token_ids": completion.token_ids,
        "token_bytes": sample.token_lengths,
        "engine_logprobs": _rounded(completion.logprobs),
        "executed_mask": _bits(made.executed_mask) if made else None,
        "cut_mask": _bits(made.cut_mask) if made else None,
        "blamed_mask": _bits(made.blamed_mask) if made and made.blamed_mask else None,
        "learner": _learner_record(values) if values is not None else None,
    }


def _learner_record(values: TokenValues) -> dict[str, Any]:
    numbers = {
        "logprobs": values.logprobs,
        "reference_logprobs": values.reference_logprobs,
        "entropies": values.entropies,
        "values": values.values,
        "returns": values.returns,
        "advantages": values.advantages,
        "weights": values.weights,
    }
    return {
        "reward_parts": {name: round(part, 6) for name, part in values.reward_parts.items()},
        **{
            name: None if array is None else _rounded(array.tolist())
            for name, array in numbers.items()
        },
        "policy_mask": _bits(values.in_policy_loss),
        "value_mask": _bits(values.in_value_loss),
        "kl_mask": _bits(values.in_kl_penalty),
        "left_out": list(_runs(values.left_out)),
    }


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, _DIGITS) for number in numbers]


def _bits(flags: Sequence[bool]) -> str:
    return "".join("1" if flag else "0" for flag in flags)


def _runs(reasons: Sequence[str]) -> Iterator[list[Any]]:
    """Reasons of consecutive tokens, as `[reason, number of tokens]`."""
    for reason, tokens in groupby(reasons):
        yield [reason, sum(1 for _ in tokens)]


def _place(problem: str) -> bytes:
    return hashlib.sha256(problem.encode()).digest()
