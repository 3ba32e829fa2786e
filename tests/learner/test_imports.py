"""Formulas and models load without DeepSpeed, the configuration without torch."""

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
        ("learner.algorithm.advantage, learner.algorithm.loss", "deepspeed"),
        ("learner.models.batch, learner.models.pretrained", "deepspeed"),
        ("learner.algorithm.experience, learner.algorithm.loss", "transformers"),
    ],
)
def test_a_module_does_not_load_what_it_does_not_need(modules: str, absent: str) -> None:
    code = f"import sys, {modules}; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
