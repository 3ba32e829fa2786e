"""Which modules load without torch, transformers or DeepSpeed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (
            "learner.config, learner.errors, learner.mask, learner.plan.shares, learner.reward",
            {"torch"},
        ),
        (
            "learner.algorithm.experience, learner.algorithm.objective, learner.algorithm.loss",
            {"transformers", "deepspeed", "ray", "vllm"},
        ),
        ("learner.ppo, learner.sft", {"deepspeed", "ray", "vllm"}),
    ],
)
def test_light_modules_load_no_heavy_package(modules: str, absent: set[str]) -> None:
    code = f"import sys, {modules}; print({absent!r} & set(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "set()\n"
