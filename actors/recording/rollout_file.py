"""The file of a step's recorded rollouts: a line for each group, with the values of every token.

runs/<name>/rollouts/step-000001.jsonl.gz

A step's file is written whole or not at all, so a run that is killed leaves no part of one.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from actors.errors import RunFailed
from actors.rollout.round import read_detail
from actors.rollout.samples import RolloutGroup, Sample, trajectory
from actors.runs.records import problem_record, verdict_record
from curriculum.files import named_when_full
from curriculum.subtask import Subtask
from learner.reward import Reward

FORMAT = 1
"""Version of the lines, in each of them."""
_DIGITS = 5
"""Decimals of a token's numbers; a log-probability is exact to 1e-5 nats."""

_PER_TOKEN = (
    "logprobs", "reference_logprobs", "entropies", "values", "returns", "advantages", "weights",
)  # fmt: skip
"""The learner's numbers of each token."""

LearnerValues = Mapping[str, Any]
"""The fields of a sample's `learner.algorithm.token_values.TokenValues`, read without torch."""


@dataclass(frozen=True)
class StepRollouts:
    """What is recorded of one step; whoever passes it on reads neither samples nor values."""

    step: int
    """The RL step that trained on the groups."""
    groups: tuple[tuple[Subtask, bytes], ...]
    """Each group's subtask and its `JudgedGroup.packed_detail`, in the order of the step."""
    rewards: Mapping[int, Reward]
    """By sample id, of the samples that have one."""
    values: bytes
    """What the learner knew of their tokens (`token_values.pack_values`); may be empty."""


def write_rollouts(folder: Path, rollouts: StepRollouts) -> None:
    """Write the file of one step into `folder`, which is made with the first one.

    Raises:
        OSError: the disk is full, or the folder cannot be written to.
    """
    values: dict[int, LearnerValues] = pickle.loads(rollouts.values) if rollouts.values else {}
    folder.mkdir(exist_ok=True)
    path = step_file(folder, rollouts.step)
    partial = path.with_suffix(".partial")
    with named_when_full(path), partial.open("wb") as file:
        # Without a name and a time, the same rollouts give the same bytes.
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            text = io.TextIOWrapper(packed, encoding="utf-8", errors="backslashreplace")
            for subtask, detail in rollouts.groups:
                group = RolloutGroup(subtask, *read_detail(detail))
                record = group_record(rollouts.step, group, values, rollouts.rewards)
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
    values: Mapping[int, LearnerValues],
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
    group: RolloutGroup, sample: Sample, values: LearnerValues | None, reward: Reward | None
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
        "agreed": made.agreed if made else None,
        "learner": _learner_record(values) if values is not None else None,
    }


def _learner_record(values: LearnerValues) -> dict[str, Any]:
    return {
        "reward_parts": {name: round(part, 6) for name, part in values["reward_parts"].items()},
        **{
            name: None if values[name] is None else _rounded(values[name].tolist())
            for name in _PER_TOKEN
        },
        "policy_mask": _bits(values["in_policy_loss"]),
        "value_mask": _bits(values["in_value_loss"]),
        "kl_mask": _bits(values["in_kl_penalty"]),
        "left_out": list(_runs(values["left_out"])),
    }


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, _DIGITS) for number in numbers]


def _bits(flags: Sequence[bool]) -> str:
    return "".join("1" if flag else "0" for flag in flags)


def _runs(reasons: Sequence[str]) -> Iterator[list[Any]]:
    """Reasons of consecutive tokens, as `[reason, number of tokens]`."""
    for reason, tokens in groupby(reasons):
        yield [reason, sum(1 for _ in tokens)]
