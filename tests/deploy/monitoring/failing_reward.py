"""A reward function that fails on half of the samples."""

from __future__ import annotations

from typing import Any


def on_even_samples(_problem: Any, sample: Any, _verdict: Any) -> float:
    """1, or an error for a sample with an even id."""
    if sample.sample_id % 2 == 0:
        raise ValueError("made to fail")
    return 1.0
