"""A trainer of actors that need no model, for the tests of its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.config import LoopConfig
from actors.training.trainer import Trainer
from deploy.bench.fleet.fake_actors import SteadyLearner, steady_trainer

PROMPTS, SAMPLES, STEPS = 2, 2, 9


def trainer(folder: Path, **loop: Any) -> Trainer:
    settings = {"steps": STEPS, "prompts_per_step": PROMPTS, "eval_samples": 1, **loop}
    return steady_trainer(folder, LoopConfig(**settings), SAMPLES, generate_s=0.02, learn_s=0.02)


def learner(made: Trainer) -> SteadyLearner:
    assert isinstance(made.learner, SteadyLearner)
    return made.learner


def rows(made: Trainer) -> list[dict[str, float]]:
    return made.folder.step_rows()
