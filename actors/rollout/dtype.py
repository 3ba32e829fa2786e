"""The number format of an engine's weights and activations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from learner.models.processor import CPU_INFO, has_bfloat16


def engine_dtype(
    wanted: Literal["float32", "bfloat16", "auto"],
    model_dir: Path,
    gpu: bool,
    cpu_info: Path = CPU_INFO,
) -> Literal["float32", "bfloat16"]:
    """`float32` or `bfloat16`: what is wanted, or for `auto` what suits model and processor.

    `auto` is bfloat16 where the model's `config.json` names a format of 16 bits and the engine runs
    on a GPU or on a processor with bfloat16 products; otherwise it is float32.
    """
    if wanted != "auto":
        return wanted
    config = json.loads((model_dir / "config.json").read_text())
    stored = config.get("dtype") or config.get("torch_dtype")
    if stored in ("bfloat16", "float16") and (gpu or has_bfloat16(cpu_info)):
        return "bfloat16"
    return "float32"
