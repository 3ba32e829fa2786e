"""A run whose checkpoints cannot fit its disk is refused before it starts."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from actors.runs.folder import RunFolder
from deploy.checks.disk import check_disk, needed_bytes
from deploy.config import RunConfig, load_config
from deploy.errors import ConfigError
from deploy.plan.run_plan import policy_shape
from tests.deploy.plan.test_fit import QWEN

PROFILES = Path(__file__).resolve().parents[3] / "deploy" / "profiles"
GIB = 1 << 30


def config(*overrides: str, profile: str = "gpu-1") -> RunConfig:
    return load_config(PROFILES / f"{profile}.yaml", [f"--{override}" for override in overrides])


def check(
    folder: Path, free: float, monkeypatch: pytest.MonkeyPatch, *overrides: str, again: bool = False
) -> None:
    usage = SimpleNamespace(total=100 * GIB, used=0, free=int(free * GIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    check_disk(RunFolder(folder), config(*overrides), QWEN, resume=again, overwrite=False)


def test_a_run_whose_checkpoints_cannot_fit_is_refused_with_both_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half a billion weights in 2 + 12 bytes, three at a time, and the policy.
    folder = tmp_path / "run"
    with pytest.raises(
        ConfigError, match=r"about \d+\.\d GiB \(3 at a time\), and 9.0 GiB is free"
    ):
        check(folder, 9, monkeypatch)
    check(folder, 30, monkeypatch)
    check(folder, 15, monkeypatch, "loop.keep_checkpoints=1")
    assert not folder.exists(), "a check changes nothing"


def test_checkpoints_of_the_run_to_resume_are_replaced_and_count_as_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = needed_bytes(config(), QWEN) / GIB
    with pytest.raises(ConfigError):
        check(tmp_path, needed - 0.001, monkeypatch, again=True)
    weights = tmp_path / "checkpoints" / "step-000020" / "weights"
    weights.parent.mkdir(parents=True)
    with weights.open("wb") as file:
        file.truncate(GIB)
    check(tmp_path, needed - 0.999, monkeypatch, again=True)


def test_what_is_kept_decides_the_size() -> None:
    sizes = [
        needed_bytes(config(*overrides), QWEN)
        for overrides in (
            ("loop.steps=0",),
            ("loop.keep_checkpoints=1", "learner.lora.rank=16"),
            ("loop.keep_checkpoints=1",),
            ("loop.keep_checkpoints=9", "loop.keep_optimizer=1", "loop.checkpoint_policy=true"),
            ("loop.keep_checkpoints=9",),
        )
    ]
    assert sizes[0] < sizes[2] < sizes[3] < sizes[4]
    assert sizes[1] < sizes[0]


def test_the_size_of_the_bundled_models_checkpoint_is_that_of_its_files() -> None:
    # A checkpoint of local.yaml holds 21.8 MB; its warm start's vocabulary has fewer tokens.
    settings = config("loop.steps=0", profile="local")
    shape = policy_shape(settings)
    state = needed_bytes(settings, shape) - 4 * shape.parameters
    assert state == pytest.approx(21.8e6, rel=0.2)
