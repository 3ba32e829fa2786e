"""The name of a cached warm start: what changes it, and what does not."""

from __future__ import annotations

from actors.training.warm_start import corpus_digest
from learner.config import ModelConfig, SFTConfig

PAIRS = [("question", "solution")]


def test_settings_that_change_no_weight_keep_the_warm_start() -> None:
    digest = corpus_digest(PAIRS, ModelConfig(), SFTConfig())
    for same in (
        SFTConfig(eval_every=7),
        SFTConfig(token_budget=512),
        SFTConfig(gradient_checkpointing=True),
    ):
        assert corpus_digest(PAIRS, ModelConfig(), same) == digest
    for other in (SFTConfig(steps=7), SFTConfig(seed=1), SFTConfig(mixed_precision=False)):
        assert corpus_digest(PAIRS, ModelConfig(), other) != digest
    assert corpus_digest([*PAIRS, *PAIRS], ModelConfig(), SFTConfig()) != digest
