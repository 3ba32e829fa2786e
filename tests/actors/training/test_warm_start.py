"""The name of a cached warm start: what changes it, and what does not."""

from __future__ import annotations

from actors.training.warm_start import corpus_digest
from learner.config import ModelConfig, SFTConfig

PAIRS = [("question", "solution")]


def test_settings_that_change_no_weight_keep_the_warm_start() -> None:
    digest = corpus_digest(PAIRS, ModelConfig(), SFTConfig())
    for change in ({"eval_every": 7}, {"token_budget": 512}, {"gradient_checkpointing": True}):
        assert corpus_digest(PAIRS, ModelConfig(), SFTConfig(**change)) == digest
    for change in ({"steps": 7}, {"seed": 1}, {"mixed_precision": False}):
        assert corpus_digest(PAIRS, ModelConfig(), SFTConfig(**change)) != digest
    assert corpus_digest([*PAIRS, *PAIRS], ModelConfig(), SFTConfig()) != digest
