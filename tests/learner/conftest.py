"""A tiny random policy on disk and trajectories for it."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch

from learner.trajectory import Trajectory, TrajectoryGroup

CORPUS = [
    (f"# add {n} and {m}\n", f"def f(a):\n    if a > {n}:\n        a += {m}\n    return a")
    for n in range(10)
    for m in range(10)
]
LENGTHS = [(5, 9), (3, 17), (8, 1), (4, 6), (2, 12), (6, 0), (9, 11), (1, 4), (7, 8), (3, 5)]
"""Tokens of prompt and response of each sample: one response is empty, one is a single token."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two blocks with weights large enough that its predictions differ from uniform."""
    from learner.config import ModelConfig
    from learner.models.networks import create_llama
    from learner.tokenizer import train_tokenizer
    from learner.zero.export import write_pretrained

    tokenizer = train_tokenizer((q + s for q, s in CORPUS), 300)
    config = ModelConfig(hidden_size=32, layers=2, heads=2, intermediate_size=48)
    model = create_llama(config, tokenizer, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    folder = tmp_path_factory.mktemp("policy") / "model"
    write_pretrained(folder, model, model.state_dict(), tokenizer)
    return folder


@pytest.fixture(scope="session")
def make_trajectories() -> Callable[..., list[Trajectory]]:
    return random_trajectories


def random_trajectories(
    seed: int, lengths: list[tuple[int, int]] = LENGTHS, prompts: int | None = None
) -> list[Trajectory]:
    """Random samples of consecutive ids; with `prompts`, only so many prompts, used in turn."""
    generator = random.Random(seed)
    asked = [tuple(generator.randrange(2, 290) for _ in range(prompt)) for prompt, _ in lengths]
    return [
        Trajectory(
            sample_id=100 * seed + number,
            problem_id=f"problem-{number}",
            stage=0,
            prompt_ids=asked[number % (prompts or len(asked))],
            response_ids=tuple(generator.randrange(2, 290) for _ in range(response)),
            rollout_logprobs=tuple(-6 * generator.random() for _ in range(response)),
            executed_mask=tuple(number != 3 and generator.random() < 0.7 for _ in range(response)),
            reward=generator.choice([1.0, -0.3, -0.6, -1.0]),
            weight_version=0,
            outcome="failed",
        )
        for number, (_, response) in enumerate(lengths)
    ]


def grouped(trajectories: Iterable[Trajectory]) -> list[TrajectoryGroup]:
    """The trajectories by prompt."""
    by_prompt: dict[tuple[int, ...], list[Trajectory]] = {}
    for trajectory in trajectories:
        by_prompt.setdefault(trajectory.prompt_ids, []).append(trajectory)
    return [TrajectoryGroup(tuple(group)) for group in by_prompt.values()]
