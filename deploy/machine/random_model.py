"""A random Qwen2.5 and random samples, which need no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from curriculum import noisy_corpus
from deploy.machine.part import Scale
from learner.tokenizer import train_tokenizer
from learner.trajectory import Trajectory, TrajectoryGroup

_LARGE = {
    "vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2,
}  # fmt: skip
"""Qwen2.5-Coder-0.5B."""
_SMALL = {
    "vocab_size": 512, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip

TOKENS = 500
"""Token ids below which the tokenizer has a text."""


def random_model(scale: Scale) -> Path:
    """The folder of a model of Qwen2.5's architecture: 0.5 B parameters on a GPU, else tiny."""
    folder = scale.folder / "random-qwen"
    if (folder / "config.json").is_file():
        return folder
    shape: dict[str, Any] = _SMALL if scale.quick or not scale.gpus else _LARGE
    texts = (f"{question}\n{solution}" for question, solution in noisy_corpus(7, 400, set()))
    tokenizer: Any = train_tokenizer(texts, 512)
    config = Qwen2Config(
        **shape, tie_word_embeddings=True, max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def random_groups(prompts: int, samples: int, length: int) -> list[TrajectoryGroup]:
    """`prompts` groups of `samples` trajectories of `length` tokens, half of them prompt."""
    generator = torch.Generator().manual_seed(1)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(10, TOKENS - 50, (count,), generator=generator).tolist())

    groups = []
    for prompt in range(prompts):
        prompt_ids = ids(length // 2)
        made = []
        for sample in range(samples):
            response = ids(length - len(prompt_ids))
            executed = tuple(position % 4 != 0 for position in range(len(response)))
            made.append(
                Trajectory(
                    sample_id=prompt * samples + sample,
                    problem_id=str(prompt),
                    stage=0,
                    prompt_ids=prompt_ids,
                    response_ids=response,
                    rollout_logprobs=(-6.0,) * len(response),
                    executed_mask=executed,
                    reward=1.0 if sample == 0 else -0.3,
                    weight_version=0,
                    outcome="passed" if sample == 0 else "failed",
                    finish_reason="stop",
                    cut_mask=(False,) * len(response),
                )
            )
        groups.append(TrajectoryGroup(tuple(made)))
    return groups
