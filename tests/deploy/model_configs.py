"""Configurations of published models, as their folders hold them; no weights."""

from __future__ import annotations

from pathlib import Path

from transformers import LlamaConfig, Qwen2Config

MODELS = {
    "Qwen/Qwen2.5-Coder-0.5B-Instruct": Qwen2Config(
        vocab_size=151_936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
        num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True,
    ),
    "Qwen/Qwen2.5-Coder-7B-Instruct": Qwen2Config(
        vocab_size=152_064, hidden_size=3584, intermediate_size=18_944, num_hidden_layers=28,
        num_attention_heads=28, num_key_value_heads=4,
    ),
    "deepseek-ai/deepseek-coder-6.7b-instruct": LlamaConfig(
        vocab_size=32_256, hidden_size=4096, intermediate_size=11_008, num_hidden_layers=32,
        num_attention_heads=32,
    ),
}  # fmt: skip


def config_folder(folder: Path, name: str) -> Path:
    """A model's folder with its configuration alone."""
    config = MODELS[name]
    config.architectures = [f"{type(config).__name__.removesuffix('Config')}ForCausalLM"]
    config.save_pretrained(folder)
    return folder
