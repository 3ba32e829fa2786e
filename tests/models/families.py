"""The families of models that users train, as tiny random ones with published tokenizers."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
    Starcoder2Config,
)

from learner.models.published import load_tokenizer
from tests.published import PUBLISHED

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 1024,
}
PADDING = 64
"""Published vocabularies are longer than their tokenizers."""


@dataclass(frozen=True)
class Family:
    """An architecture with what is special about it."""

    name: str
    tokenizer: str
    """Folder of the published tokenizer, below `STEPCODER_MODELS`."""
    architecture: type[PreTrainedConfig]
    settings: dict[str, Any]
    special: str
    """What it stands for, in words."""
    chat: bool = False
    """Whether it is asked by its chat template."""


FAMILIES = [
    Family("Llama 3", "tokenizers/llama3", LlamaConfig,
           {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0,
                                "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                "original_max_position_embeddings": 128}},
           "rope scaling"),
    Family("DeepSeek-Coder", "tokenizers/deepseek_v3", LlamaConfig,
           {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e5, "factor": 4.0}},
           "linear rope scaling, BOS, the class of its tokenizer"),
    Family("Qwen2.5", "qwen2.5-coder-0.5b-instruct", Qwen2Config, {"tie_word_embeddings": True},
           "tied head, biases"),
    Family("Qwen3", "tokenizers/qwen3", Qwen3Config, {"head_dim": 32},
           "norms of queries and keys, a chat template that thinks", chat=True),
    Family("StarCoder2", "smollm2-135m-instruct", Starcoder2Config,
           {"use_bias": True, "sliding_window": 48}, "biases, window; tokenizer of SmolLM2"),
    Family("Mistral", "tokenizers/llama2", MistralConfig, {"sliding_window": 64},
           "window; tokenizer of Llama 2 (sentencepiece)"),
    Family("SmolLM2", "smollm2-135m-instruct", LlamaConfig, {"tie_word_embeddings": True},
           "tied head"),
]  # fmt: skip


def make(family: Family, folder: Path) -> Path:
    """A model folder of this family: random float32 weights, the tokenizer's files as published."""
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (PUBLISHED / family.tokenizer / name).is_file():
            shutil.copy(PUBLISHED / family.tokenizer / name, folder)
    tokenizer: Any = load_tokenizer(folder)
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    vocabulary = len(tokenizer) + PADDING
    architecture: Any = family.architecture
    config = architecture(
        **SHAPE | {"tie_word_embeddings": False} | family.settings | ends,
        vocab_size=vocabulary,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder, max_shard_size="20MB")
    several = {**ends, "eos_token_id": [tokenizer.eos_token_id, vocabulary - 1], "temperature": 0.7}
    (folder / "generation_config.json").write_text(json.dumps(several))
    return folder
