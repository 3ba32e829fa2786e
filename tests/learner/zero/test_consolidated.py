"""The policy out of a checkpoint is exactly the learner's, of every stage, without its ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from learner.errors import CheckpointError
from learner.zero.consolidated import read_policy
from tests.learner.ranks import weights
from tests.learner.runs import LORA, new_learner, run_ranks, same, settings
from tests.learner.samples import grouped, random_trajectories

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

FAST = {"lr": 3e-2}


def written(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(3, 40)[None]).logits


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_the_weights_are_the_learners(stage: int, model_dir: Path, tmp_path: Path) -> None:
    learner = new_learner(model_dir, zero={"stage": stage}, advantage="reinforce++", policy=FAST)
    learner.update(grouped(random_trajectories(1)))
    learner.save_checkpoint(tmp_path / "learner")
    whole = read_policy(tmp_path / "learner")
    whole.write(tmp_path / "out")
    assert same(weights(learner)["policy"], written(tmp_path / "out"))
    with pytest.raises(CheckpointError, match="no adapters: it was not trained with LoRA"):
        whole.write_adapters(tmp_path / "adapters", None)


def test_two_ranks_are_put_together(model_dir: Path, tmp_path: Path) -> None:
    runs = [
        {
            "name": name,
            "config": settings(zero={"stage": stage}, **changes),
            "updates": [1],
            "save": str(tmp_path / name),
        }
        for stage, name, changes in ((2, "two", {}), (3, "three", {}), (3, "lora", {"lora": LORA}))
    ]
    results = run_ranks(tmp_path, model_dir, 2, runs)
    for name, result in results.items():
        read_policy(tmp_path / name).write(tmp_path / f"{name}-out")
        assert same(result["policy"], written(tmp_path / f"{name}-out")), name


@pytest.mark.parametrize("stage", [2, 3])
def test_adapters_are_merged_or_kept_apart(stage: int, model_dir: Path, tmp_path: Path) -> None:
    learner = new_learner(model_dir, zero={"stage": stage}, lora=LORA, policy=FAST, critic=FAST)
    learner.update(grouped(random_trajectories(1)))
    learner.save_checkpoint(tmp_path / "learner")
    whole = read_policy(tmp_path / "learner")
    whole.write(tmp_path / "merged")
    assert same(weights(learner)["policy"], written(tmp_path / "merged"))
    whole.write_adapters(tmp_path / "apart", str(model_dir))
    described = json.loads((tmp_path / "apart" / "adapter_config.json").read_text())
    assert described["base_model_name_or_path"] == str(model_dir)
    base = AutoModelForCausalLM.from_pretrained(model_dir)
    before = logits(base)
    adapted = logits(PeftModel.from_pretrained(base, tmp_path / "apart"))
    merged = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged"))
    torch.testing.assert_close(adapted, merged, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(before, merged, atol=1e-2)


def test_what_merging_rounds_away_is_measured(model_dir: Path, tmp_path: Path) -> None:
    """A small change of bfloat16 weights is mostly lost; in float32 it is kept."""
    lost = {}
    for dtype in ("float32", "bfloat16"):
        changes = {"dtype": dtype, "advantage": "reinforce++", "policy": {"lr": 1e-4}}
        learner = new_learner(model_dir, lora=LORA, **changes)
        learner.update(grouped(random_trajectories(1)))
        learner.save_checkpoint(tmp_path / dtype)
        whole = read_policy(tmp_path / dtype)
        assert str(whole.dtype) == f"torch.{dtype}"
        lost[dtype] = whole.rounded_away()
    assert lost["float32"] < 1e-2
    assert lost["bfloat16"] > 0.5


def test_settings_that_contradict_each_other_are_kept_as_published(
    model_dir: Path, tmp_path: Path
) -> None:
    """Many published models have a temperature without `do_sample`."""
    import shutil

    folder = shutil.copytree(model_dir, tmp_path / "model")
    published = {"eos_token_id": [1, 0], "temperature": 0.6, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(published))
    learner = new_learner(folder, advantage="reinforce++")
    learner.save_pretrained(tmp_path / "policy")
    learner.save_checkpoint(tmp_path / "learner")
    read_policy(tmp_path / "learner").write(tmp_path / "out")
    for out in ("policy", "out"):
        again = json.loads((tmp_path / out / "generation_config.json").read_text())
        assert {key: again[key] for key in ("eos_token_id", "temperature")} == {
            "eos_token_id": [1, 0],
            "temperature": 0.6,
        }


def test_an_incomplete_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no complete checkpoint"):
        read_policy(tmp_path)
