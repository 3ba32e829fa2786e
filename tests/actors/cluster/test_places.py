"""Places on a cluster whose GPUs are simulated: who sees which, and which files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from actors.cluster import shared_files
from actors.cluster.ray_calls import ask_everywhere
from actors.cluster.shared_files import check_model_folder, check_run_folder
from actors.errors import RunFailed

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


def test_colocated_actors_see_one_gpu_and_others_see_none() -> None:
    program = [sys.executable, "-m", "tests.actors.cluster.simulated_gpus"]
    finished = subprocess.run(
        program, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert finished.returncode == 0, finished.stderr
    seen = json.loads(finished.stdout.splitlines()[-1])
    assert seen["learners"] == seen["engines"]
    assert sorted(seen["learners"]) == ["0", "1"]
    assert seen["others"] == ["", ""]
    # torch sees none of the simulated GPUs, as where the environment or the driver is wrong.
    assert "torch sees no GPU in place 0 of this run, on node" in seen["memory"]
    assert "STEPCODER_EXTRA=gpu make install" in seen["memory"]


def test_files_that_a_node_does_not_see_are_named_with_the_remedy(
    ray_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = ray.get_runtime_context().get_node_id()

    class Elsewhere:
        def get_node_id(self) -> str:
            return "another node"

    monkeypatch.setattr(shared_files.ray, "get_runtime_context", Elsewhere)
    check_run_folder(tmp_path, {node}, 60)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "config.json").write_text("{}")
    check_model_folder(tmp_path, {node}, 60)
    # Every process sees another file there.
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").symlink_to("/proc/self/cmdline")
    with pytest.raises(RunFailed, match=r"1 node\(s\) .*no model folder .*copy it to"):
        check_model_folder(tmp_path, {node}, 60)


def test_the_place_that_fails_and_the_place_that_is_silent_are_named(ray_cluster: str) -> None:
    def divide() -> float:
        return 1 / 0

    assert ask_everywhere("its size", lambda: 7, {"place 0": {}, "place 1": {}}, 60) == {
        "place 0": 7,
        "place 1": 7,
    }
    with pytest.raises(
        RunFailed, match=r"^1 of 1 places did not say .*its size:\n  place 0: ZeroDiv[^\n]+$"
    ):
        ask_everywhere("its size", divide, {"place 0": {}}, 60)
    unplaceable = {"resources": {"of no node": 1.0}}
    places = {"place 0": {}, "place 1": unplaceable}
    with pytest.raises(RunFailed, match=r"^1 of 2 places .* within 20 s .*\n  place 1: no answer$"):
        ask_everywhere("its size", lambda: 7, places, 20)
