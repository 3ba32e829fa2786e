"""What the trajectories of a step cost on their way from the driver to the learner's ranks."""

from __future__ import annotations

import pickle
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from deploy.bench.record import Figure
from learner.config import LearnerConfig
from learner.plan.shares import read, split
from learner.trajectory import Trajectory, TrajectoryGroup, pack

RANKS = (2, 4)
PROMPTS, SAMPLES = 64, 8
PROMPT_TOKENS = 300
RESPONSE_TOKENS, SPREAD, LONGEST = 400, 0.6, 2048
"""Lengths of responses are lognormal."""
EXECUTED, PASSED = 0.8, 0.5
_MOST_OVER_SHARE = 0.1
"""What a rank may read beyond its part, as a share of the batch: facts and masks of all samples,
prompts that several ranks need, ranks of unequal size."""


def data_plane(rounds: int) -> Iterator[Figure]:
    """The bytes that a rank reads and the processor time of both ends, without Ray.

    Args:
        rounds: turns of each measurement.
    """
    groups = [pack(group) for group in random_batch()]
    config = LearnerConfig()
    samples = PROMPTS * SAMPLES
    whole = _size(split(groups, config, 0, 1)[1][0])
    for ranks in RANKS:
        splitting, reading, most = [], [], 0
        for update in range(rounds):
            started = time.process_time()
            facts, shares = split(groups, config, update, ranks)
            stored = [_store(part) for part in (facts, *shares)]
            splitting.append(1e6 * (time.process_time() - started) / samples)
            most = max(most, _size(facts) + max(map(_size, shares)))
            started = time.process_time()
            read(_load(stored[0]), _load(stored[1]))
            reading.append(1e6 * (time.process_time() - started) / samples)
        share = most / whole
        limit = 1 / ranks + _MOST_OVER_SHARE
        yield Figure(
            f"rank_reads_share_at_{ranks}", share, "", f"a batch of {whole / 1e6:.1f} MB, "
            f"{samples} samples", limit, None, share <= limit,
        )  # fmt: skip
        for name, costs in (("driver_splits", splitting), ("rank_reads", reading)):
            yield Figure(
                f"{name}_us_per_sample_at_{ranks}", statistics.median(costs), "us",
                "a sample of the whole batch", None, None, True, tuple(costs),
            )  # fmt: skip


def random_batch() -> list[TrajectoryGroup]:
    """Groups as a step of a code model makes them."""
    generator = np.random.default_rng(1)
    made: list[TrajectoryGroup] = []
    for prompt in range(PROMPTS):
        prompt_ids = tuple(generator.integers(0, 150_000, PROMPT_TOKENS).tolist())
        members = [
            _sample(generator, prompt, prompt * SAMPLES + number, prompt_ids)
            for number in range(SAMPLES)
        ]
        made.append(TrajectoryGroup(tuple(members)))
    return made


def _sample(
    generator: np.random.Generator, prompt: int, number: int, prompt_ids: tuple[int, ...]
) -> Trajectory:
    drawn = generator.lognormal(np.log(RESPONSE_TOKENS), SPREAD)
    tokens = int(np.clip(drawn, 1, LONGEST))
    passed = bool(generator.random() < PASSED)
    return Trajectory(
        sample_id=number,
        problem_id=f"problem-{prompt}",
        stage=0,
        prompt_ids=prompt_ids,
        response_ids=tuple(generator.integers(0, 150_000, tokens).tolist()),
        rollout_logprobs=tuple((-generator.exponential(0.3, tokens)).tolist()),
        executed_mask=tuple((generator.random(tokens) < EXECUTED).tolist()),
        reward=1.0 if passed else -0.3,
        weight_version=1,
        outcome="passed" if passed else "failed",
        finish_reason="length" if tokens == LONGEST else "stop",
        cut_mask=(False,) * tokens,
        reward_parts={"outcome": 1.0 if passed else -0.3},
    )


_Stored = tuple[bytes, list[bytes]]
"""A pickle, and the arrays beside it, as Ray's object store holds them."""


def _store(part: object) -> _Stored:
    arrays: list[pickle.PickleBuffer] = []
    head = pickle.dumps(part, protocol=5, buffer_callback=arrays.append)
    return head, [bytes(array.raw()) for array in arrays]


def _load(stored: _Stored) -> Any:
    head, arrays = stored
    return pickle.loads(head, buffers=arrays)


def _size(part: object) -> int:
    head, arrays = _store(part)
    return len(head) + sum(map(len, arrays))
