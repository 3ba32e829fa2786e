"""Published models and tokenizers, where they are on this machine."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from learner.models.published import load_tokenizer
from learner.tokenizer import token_bytes

PUBLISHED = Path(os.environ.get("STEPCODER_MODELS", "models-absent"))

needs_models = pytest.mark.skipif(
    not PUBLISHED.is_dir(),
    reason="no published models here: give their folder in STEPCODER_MODELS (see CONTRIBUTING.md)",
)

on_one_worker = pytest.mark.xdist_group("published")
"""Of modules that load tokenizers: each takes seconds, and one process keeps them all."""


@cache
def tokenizer_of(name: str) -> tuple[Any, list[bytes]]:
    """A published tokenizer by its folder below STEPCODER_MODELS, and the bytes of its tokens."""
    tokenizer = load_tokenizer(PUBLISHED / name)
    return tokenizer, token_bytes(tokenizer)
