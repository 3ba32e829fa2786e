"""`stepcoder plan` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.cli import main
from tests.deploy.model_configs import config_folder

PROFILES = Path(__file__).resolve().parents[3] / "deploy" / "profiles"
LOCAL = ["plan", "--config", str(PROFILES / "local.yaml")]


@pytest.fixture
def gpu_8(tmp_path: Path) -> list[str]:
    folder = config_folder(tmp_path / "qwen", "Qwen/Qwen2.5-Coder-7B-Instruct")
    return ["plan", "--config", str(PROFILES / "gpu-8.yaml"), "--model.path", str(folder)]


def test_the_plan_names_parts_devices_and_cost(
    gpu_8: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*gpu_8, "--gpu", "h100-80,a100-40", "--price", "3,1.5"]) == 0
    printed = capsys.readouterr().out
    for text in ("policy of 7.62 B parameters", "8 GPU", "gradients", "optimizer", "reference",
                 "activations", "logits", "broadcast", "KV cache of one sequence",
                 "whole sequences in it", "cost of 1,000 steps", "estimates, not measured",
                 "a100-40: it fits with", "DOES NOT FIT"):  # fmt: skip
        assert text in printed, text


def test_a_run_that_fits_nowhere_ends_with_status_1(
    gpu_8: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*gpu_8, "--gpu", "l4-24"]) == 1
    assert "l4-24: it fits with" in capsys.readouterr().out


def test_json_is_for_programs(gpu_8: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*gpu_8, "--gpu", "h100-80", "--price", "2", "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    (device,) = tree["devices"]
    assert device["fits"]
    assert device["cost"] > 0
    assert device["longest_stage"] in ("rollout", "learn", "broadcast")
    assert tree["learner"]["reference"] > 0
    assert tree["assumptions"]


def test_on_cpus_the_plan_says_that_it_knows_no_speed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(LOCAL) == 0
    printed = capsys.readouterr().out
    assert "memory of the host" in printed
    assert "nothing is known of this device's speed" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpu", "h100"], "expected a name and its memory in GB"),
        (["--placement.accelerator", "gpu"], "name the GPUs to plan for"),
        (["--placement.accelerator", "cpu", "--gpu", "l4-24"], "the run uses none"),
        (["--price", "cheap"], "expected numbers above 0"),
        (["--price", "-1"], "expected numbers above 0"),
        (["--gpu", "l4-24", "--price", "1,2"], "2 prices for 1 kinds"),
        (["--tokens", "100000"], "a completion has 1 to 192 tokens"),
        (["--run", "nowhere"], "not the folder of a run"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LOCAL, *arguments]) == 2
    assert message in capsys.readouterr().err
