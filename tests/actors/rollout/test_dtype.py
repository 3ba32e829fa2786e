"""The number format of an engine follows the model's and the processor's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.rollout.dtype import engine_dtype

INTEL = "processor : 0\nflags\t\t: fpu sse2 avx512_bf16 amx_bf16\n"
ARM = "processor : 0\nFeatures\t: fp asimd bf16\n"
OLD = "processor : 0\nflags\t\t: fpu sse2 avx2\n"


@pytest.mark.parametrize(
    ("config", "cpu_info", "gpu", "expected"),
    [
        ({"dtype": "bfloat16"}, INTEL, False, "bfloat16"),
        ({"torch_dtype": "bfloat16"}, ARM, False, "bfloat16"),
        ({"dtype": "float16"}, INTEL, False, "bfloat16"),
        ({"dtype": "bfloat16"}, OLD, False, "float32"),
        ({"dtype": "bfloat16"}, OLD, True, "bfloat16"),
        ({"dtype": "float32"}, INTEL, True, "float32"),
        ({}, INTEL, False, "float32"),
    ],
)
def test_auto_is_bfloat16_where_model_and_processor_have_it(
    tmp_path: Path, config: dict[str, str], cpu_info: str, gpu: bool, expected: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "cpuinfo").write_text(cpu_info)
    assert engine_dtype("auto", tmp_path, gpu, tmp_path / "cpuinfo") == expected
    for wanted in ("float32", "bfloat16"):
        assert engine_dtype(wanted, tmp_path, gpu, tmp_path / "cpuinfo") == wanted
