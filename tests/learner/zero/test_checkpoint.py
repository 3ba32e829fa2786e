"""Checkpoints: everything comes back, and what does not fit or is damaged is refused by name."""

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from learner.errors import CheckpointError
from tests.learner.ranks import weights
from tests.learner.runs import assert_same, new_learner, run_ranks, same, settings
from tests.learner.samples import grouped, random_trajectories

pytestmark = pytest.mark.integration


def edit(folder: Path, key: str, value: object) -> None:
    manifest = {**json.loads((folder / "learner.json").read_text()), key: value}
    (folder / "learner.json").write_text(json.dumps(manifest))


def drop(folder: Path, key: str) -> None:
    manifest = json.loads((folder / "learner.json").read_text())
    del manifest[key]
    (folder / "learner.json").write_text(json.dumps(manifest))


def shorten(folder: Path, pattern: str) -> None:
    (path,) = folder.glob(pattern)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "learner.json").unlink(), "holds no complete checkpoint"),
        (lambda folder: (folder / "learner.json").write_text('{"wor'), "no complete checkpoint"),
        (lambda folder: drop(folder, "state"), "no complete checkpoint: KeyError"),
        (
            lambda folder: edit(folder, "world_size", 4),
            "written with world_size 4, .* has 1: each rank's file .*; resume with world_size 4",
        ),
        (lambda folder: edit(folder, "zero_stage", 3), "written with zero_stage 3, .* has 2"),
        (lambda folder: edit(folder, "config_digest", "x"), "does not match its digest"),
        (lambda folder: shorten(folder, "policy/state/*model_states.pt"), "damaged and was not"),
        (lambda folder: shorten(folder, "critic/state/*optim_states.pt"), "damaged and was not"),
        (lambda folder: shorten(folder, "random-0.pt"), "damaged and was not loaded"),
        (lambda folder: (folder / "random-0.pt").unlink(), "damaged and was not loaded"),
    ],
)
def test_a_damaged_or_mismatched_checkpoint_is_refused(
    spoil: Callable[[Path], object], message: str, model_dir: Path, tmp_path: Path
) -> None:
    learner = new_learner(model_dir)
    learner.save_checkpoint(tmp_path)
    learner.load_checkpoint(tmp_path)
    spoil(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        learner.load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"critic_layers": 1}, r"another architecture: critic: backbone.layers.1.* missing here"),
        ({"advantage": "rloo"}, r"another architecture: critic: .* missing here; resume with"),
        ({"kl_coefficient": 0.5}, r"other settings: kl_coefficient is 0.05 there, 0.5 here"),
        ({"seed": 3, "epochs": 2}, r"other settings: epochs is 1 there, 2 here; seed is 0 there"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused(
    other: dict, message: str, model_dir: Path, tmp_path: Path
) -> None:
    new_learner(model_dir).save_checkpoint(tmp_path)
    free = {"token_budget": 77, "lr_schedule": {"kind": "cosine", "updates": 9}}
    new_learner(model_dir, **free).load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        new_learner(model_dir, **other).load_checkpoint(tmp_path)


def test_every_random_state_of_the_process_is_restored(model_dir: Path, tmp_path: Path) -> None:
    learner = new_learner(model_dir)

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    draw()
    learner.save_checkpoint(tmp_path)
    expected = draw()
    assert draw() != expected
    learner.load_checkpoint(tmp_path)
    assert draw() == expected


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_updates_after_loading_equal_uninterrupted_ones_bit_for_bit(
    stage: int, model_dir: Path, tmp_path: Path
) -> None:
    zero = {"stage": stage}
    straight, resumed = new_learner(model_dir, zero=zero), new_learner(model_dir, zero=zero)
    straight.update(grouped(random_trajectories(1)))
    straight.save_checkpoint(tmp_path / "now")
    writing = straight.begin_checkpoint(tmp_path / "later")
    straight.update(grouped(random_trajectories(2)))
    writing.write()
    writing.finish()
    now, later = ({path.relative_to(tmp_path / name): path.read_bytes()
                   for path in (tmp_path / name).rglob("*") if path.is_file()}
                  for name in ("now", "later"))  # fmt: skip
    assert [name for name in now if later.get(name) != now[name]] == []
    resumed.load_checkpoint(tmp_path / "later")
    assert resumed.updates == 1
    resumed.update(grouped(random_trajectories(2)))
    assert same(weights(straight)["policy"], weights(resumed)["policy"])
    assert same(weights(straight)["critic"], weights(resumed)["critic"])


@pytest.mark.timeout(900)
def test_updates_after_a_kill_and_a_resume_equal_uninterrupted_ones(
    model_dir: Path, tmp_path: Path
) -> None:
    """Weights and every metric of every update, bit for bit, under stages 2 and 3. The process that
    wrote the checkpoint is killed in the middle of its fourth update.
    """
    adam = {"lr": 1e-3}
    resumed_runs, uninterrupted = [], {}
    for stage in (2, 3):
        config = settings(
            policy=adam, critic=adam, seed=5, zero={"stage": stage}, epochs=1, token_budget=400
        )
        name, folder = f"stage-{stage}", str(tmp_path / f"checkpoint-{stage}")
        whole = {"name": f"whole-{name}", "config": config, "updates": [1, 2, 3, 4, 5, 6]}
        killed = {**whole, "name": "killed", "save": folder, "save_at": 3, "kill_at": 4}
        results = run_ranks(tmp_path, model_dir, 1, [whole, killed], status=-signal.SIGKILL)
        assert results.keys() == {whole["name"]}, "the killed run writes no result"
        uninterrupted[name] = results[whole["name"]]
        resumed_runs.append({"name": name, "config": config, "updates": [4, 5, 6], "load": folder})
    resumed = run_ranks(tmp_path, model_dir, 1, resumed_runs)
    for name, result in resumed.items():
        assert_same(result, uninterrupted[name], 0.0)
        histories = uninterrupted[name]["history"][3:], result["history"]
        for metrics, again in zip(*histories, strict=True):
            assert metrics.keys() == again.keys()
            for key, value in metrics.items():
                assert key.startswith("seconds") or again[key] == value, key
