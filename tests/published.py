"""Published models and tokenizers, where they are on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PUBLISHED = Path(os.environ.get("STEPCODER_MODELS", "models-absent"))

needs_models = pytest.mark.skipif(
    not PUBLISHED.is_dir(),
    reason="no published models here: give their folder in STEPCODER_MODELS (see CONTRIBUTING.md)",
)
