"""The figures of an update, under every option that adds some."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.runs.definitions.registry import find_metric
from tests.learner.runs import VARIANTS, new_learner
from tests.learner.samples import grouped, random_trajectories, with_endings

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_figure_of_an_update_is_defined(variant: str, model_dir: Path) -> None:
    learner = new_learner(model_dir, max_response_tokens=24, **VARIANTS[variant])
    names = learner.update(grouped(with_endings(random_trajectories(1))))
    assert [name for name in names if find_metric(f"learner/{name}") is None] == []
