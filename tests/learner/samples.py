"""Random trajectories and a small corpus of (prompt, solution) pairs."""

import random
from collections.abc import Iterable
from dataclasses import replace

from learner.trajectory import Trajectory, TrajectoryGroup

CORPUS = [
    (f"# add {n} and {m}\n", f"def f(a):\n    if a > {n}:\n        a += {m}\n    return a")
    for n in range(10)
    for m in range(10)
]
LENGTHS = [(5, 9), (3, 17), (8, 1), (4, 6), (2, 12), (6, 0), (9, 11), (1, 4), (7, 8), (3, 5)]
"""Tokens of prompt and response of each sample: one response is empty, one is a single token."""


def random_trajectories(
    seed: int, lengths: list[tuple[int, int]] = LENGTHS, prompts: int | None = None
) -> list[Trajectory]:
    """Random samples of consecutive ids; with `prompts`, only so many prompts, used in turn."""
    generator = random.Random(seed)
    prompt_ids = [
        tuple(generator.randrange(2, 290) for _ in range(prompt)) for prompt, _ in lengths
    ]
    return [
        Trajectory(
            sample_id=100 * seed + number,
            problem_id=f"problem-{number}",
            stage=0,
            prompt_ids=prompt_ids[number % (prompts or len(prompt_ids))],
            response_ids=tuple(generator.randrange(2, 290) for _ in range(response)),
            rollout_logprobs=tuple(-6 * generator.random() for _ in range(response)),
            executed_mask=tuple(number != 3 and generator.random() < 0.7 for _ in range(response)),
            reward=generator.choice([1.0, -0.3, -0.6, -1.0]),
            weight_version=0,
            outcome="failed",
            finish_reason="stop",
            cut_mask=(False,) * response,
        )
        for number, (_, response) in enumerate(lengths)
    ]


def with_endings(trajectories: list[Trajectory]) -> list[Trajectory]:
    """Two of the samples end in text that was cut away, one was cut off, one was aborted."""
    changed = list(trajectories)
    for number, cut in ((1, 5), (6, 3)):
        mask = [False] * len(changed[number].response_ids)
        mask[-cut:] = [True] * cut
        changed[number] = replace(changed[number], cut_mask=tuple(mask))
    changed[4] = replace(changed[4], finish_reason="length")
    changed[8] = replace(changed[8], finish_reason="abort")
    return changed


def grouped(trajectories: Iterable[Trajectory]) -> list[TrajectoryGroup]:
    """The trajectories by prompt."""
    by_prompt: dict[tuple[int, ...], list[Trajectory]] = {}
    for trajectory in trajectories:
        by_prompt.setdefault(trajectory.prompt_ids, []).append(trajectory)
    return [TrajectoryGroup(tuple(group)) for group in by_prompt.values()]
