"""The files for cloud machines, by the validation of the tools that read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml

from actors.cluster.placement import SANDBOX_RESOURCE, roles
from deploy.config import load_config

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "cloud"
RAY = yaml.safe_load((FOLDER / "ray.yaml").read_text())
SKYPILOT = yaml.safe_load((FOLDER / "skypilot.yaml").read_text())


def test_rays_own_schema_accepts_its_file() -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(RAY, json.loads(schema.read_text()))
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(RAY))


def test_the_cluster_holds_the_profile_that_it_is_for() -> None:
    config = load_config(ROOT / "deploy" / "profiles" / "gpu-4x8.yaml", [])
    required = roles(config.placement, config.rollout, config.pool, gpu=True)
    kinds = RAY["available_node_types"]
    assert kinds["head"]["resources"] == {"CPU": 0}, "the head runs no actor"
    for resource in ("GPU", "CPU", SANDBOX_RESOURCE):
        wanted = sum(count * bundle.get(resource, 0) for _, count, bundle in required)
        had = sum(
            kind["min_workers"] * kind["resources"].get(resource, 0) for kind in kinds.values()
        )
        assert had >= wanted, resource
    assert "GPU" not in kinds["sandbox"]["resources"]
    assert SANDBOX_RESOURCE not in kinds["gpu"]["resources"]


def test_ray_starts_with_a_token_on_every_node() -> None:
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert any("RAY_AUTH_MODE=token" in command for command in RAY[commands])
    assert "~/.ray/auth_token" in RAY["file_mounts"].values()
    assert SKYPILOT["secrets"] == {"RAY_AUTH_TOKEN": None}, "asked of the user, never in the file"


def test_every_file_of_the_code_reaches_the_nodes() -> None:
    """`**/runs` would leave out `actors/runs` too."""
    excluded = RAY["rsync_exclude"]
    assert all(re.fullmatch(r"/[^/*]+", pattern) for pattern in excluded)
    packages = {"actors", "curriculum", "deploy", "learner", "sandbox"}
    assert packages.isdisjoint(pattern[1:] for pattern in excluded)


def test_the_profiles_that_are_named_exist() -> None:
    assert (ROOT / SKYPILOT["envs"]["PROFILE"]).is_file()


@pytest.mark.parametrize("part", ["setup", "run"])
def test_shellcheck_finds_nothing(part: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck here: apt-get install shellcheck")
    done = subprocess.run(
        ["shellcheck", "--shell=bash", "-"],
        input=SKYPILOT[part], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_skypilot_accepts_its_file() -> None:
    sky = pytest.importorskip("sky", reason="SkyPilot is not installed: pip install skypilot")
    task = sky.Task.from_yaml(str(FOLDER / "skypilot.yaml"))
    assert task.num_nodes == 1
