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
            "learner.config, learner.errors, learner.reward, learner.trajectory, learner.mask",
            "torch",
        ),
        ("learner.algorithm.experience, learner.algorithm.objective", "transformers"),
        ("learner.ppo, learner.sft", "deepspeed"),
    ],
)
def test_light_modules_load_no_heavy_package(modules: str, absent: str) -> None:
    code = f"import sys, {modules}; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
