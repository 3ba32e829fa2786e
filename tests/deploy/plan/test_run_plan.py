"""The plan of a run: fit, seconds, slots, cost, and what to change first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.config import RunConfig, load_config
from deploy.config.load import resolve
from deploy.errors import ConfigError
from deploy.plan.fit import MemoryPlan
from deploy.plan.gpus import GPUS, parse_gpus, peak_flops
from deploy.plan.memory import stored_bytes
from deploy.plan.run_plan import RunPlan, make_plan, policy_shape
from deploy.plan.shape import ModelShape
from tests.deploy.plan.test_fit import LARGE, QWEN
from tests.deploy.report.runs.made_runs import write_run

PROFILES = Path(__file__).resolve().parents[3] / "deploy" / "profiles"


def config(*overrides: str, profile: str = "gpu-8") -> RunConfig:
    return load_config(PROFILES / f"{profile}.yaml", [f"--{override}" for override in overrides])


def plan(settings: RunConfig, gpus: str, shape: ModelShape = LARGE, **options: float) -> RunPlan:
    prices = [options["price"]] * len(gpus.split(",")) if "price" in options else None
    return make_plan(settings, shape, parse_gpus(gpus), prices)


def test_a_profile_fits_the_larger_gpu_only() -> None:
    large, small = plan(config(), "h100-80,l4-24").devices
    assert large.fits
    assert large.concurrency > 16
    assert large.remedies == []
    assert not small.learner_fits
    assert small.seconds is None, "what does not fit takes no time"
    assert small.cost is None


@pytest.mark.parametrize("gpu", ["a100-40", "l4-24"])
def test_what_to_change_first_makes_it_fit(gpu: str) -> None:
    settings = config("learner.advantage=gae", "learner.gradient_checkpointing=false")
    (kind,) = parse_gpus(gpu)
    (device,) = plan(settings, gpu).devices
    assert not device.fits
    assert device.remedies
    for remedy in device.remedies:
        changed = resolve(settings.model_dump(mode="json"), "plan", remedy.overrides)
        fitted = MemoryPlan.of(changed, LARGE)
        assert fitted.learner_fits(kind.memory)
        assert fitted.engine_fits(kind.memory)
    learns = [remedy.learns_otherwise for remedy in device.remedies]
    assert learns == sorted(learns), "what changes nothing that is learned comes first"


def test_a_model_that_fits_no_way_has_no_remedy() -> None:
    huge = ModelShape(
        400_000_000_000, 2_000_000_000, 100, 4_000_000_000, 16384, 53248, 1024, 128_256, 8
    )
    (device,) = plan(config(), "l4-24", huge).devices
    assert not device.fits
    assert device.remedies == []


def test_seconds_follow_the_hardware_and_the_work() -> None:
    fast, slow = (d.seconds for d in plan(config(), "h200-141,h100-80").devices)
    assert fast is not None
    assert slow is not None
    assert fast.rollout < slow.rollout, "decoding is bound by the memory's bandwidth"
    assert fast.learn == slow.learn, "both have the same FLOP/s"
    whole = "learner.minibatch_size=4096"
    once = plan(config(whole), "h100-80").devices[0].seconds
    twice = plan(config(whole, "loop.prompts_per_step=64"), "h100-80").devices[0].seconds
    assert once is not None
    assert twice is not None
    assert twice.learn == pytest.approx(2 * once.learn)
    assert once.learn < slow.learn, "in one optimizer step a prompt is computed once"
    ranks = plan(config("placement.learner_ranks=8"), "h100-80").devices[0].seconds
    assert ranks is not None
    assert ranks.learn == pytest.approx(slow.learn / 2)


def test_with_staleness_a_step_takes_the_longer_stage() -> None:
    seconds = plan(config(), "h100-80").devices[0].seconds
    stale = config("loop.max_staleness=1", "learner.importance_cap=2")
    overlapped = plan(stale, "h100-80").devices[0].seconds
    assert seconds is not None
    assert overlapped is not None
    assert seconds.step == seconds.rollout + seconds.learn + seconds.broadcast
    assert overlapped.step == max(seconds.rollout, seconds.learn) + seconds.broadcast


def test_the_cost_is_that_of_every_gpu_for_a_thousand_steps() -> None:
    (device,) = plan(config(), "h100-80", price=2.0).devices
    assert device.seconds is not None
    assert device.cost == pytest.approx(device.seconds.step * 1000 / 3600 * 8 * 2.0)


def test_slots_keep_up_with_generation() -> None:
    (device,) = plan(config(), "h100-80").devices
    assert device.seconds is not None
    assert device.slots is not None
    per_second = 32 * 16 / device.seconds.rollout
    assert device.slots - 1 < per_second * 0.1 <= device.slots


def test_an_unknown_gpu_has_its_memory_and_no_speed() -> None:
    (device,) = plan(config(), "mi300x-192", price=1.0).devices
    assert device.fits
    assert device.seconds is None
    assert device.cost is None


@pytest.mark.parametrize("text", ["", "h100", "a100-0", "80", "h100_80"])
def test_a_gpu_without_its_memory_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--gpu"):
        parse_gpus(text)


@pytest.mark.parametrize(
    ("device", "tera"),
    [("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA A100-SXM4-40GB", 312),
     ("NVIDIA A10G", 70), ("NVIDIA A10", 125), ("NVIDIA L40S", 362), ("NVIDIA L4", 121)],
)  # fmt: skip
def test_a_device_is_found_by_the_name_that_torch_reports(device: str, tera: float) -> None:
    assert peak_flops(device) == tera * 1e12


def test_names_of_gpus_hold_their_memory() -> None:
    for gpu in GPUS:
        named = int(gpu.name.rpartition("-")[2])
        assert 0.9 * named < gpu.memory / 2**30 < named


def test_on_cpus_everything_is_in_the_memory_of_the_host() -> None:
    settings = config(profile="local")
    made = make_plan(settings, policy_shape(settings), [])
    assert made.learner == {}
    assert made.hosts["learner rank"]["optimizer"] == 12 * made.parameters
    assert made.hosts["engine"]["KV cache"] == settings.rollout.kv_cache_mib << 20
    copied = made.hosts["learner rank"]["checkpoint that is being written"]
    assert copied == stored_bytes(policy_shape(settings), settings.learner, 4)
    waits = config("loop.checkpoint_in_background=false", profile="local")
    plain = make_plan(waits, policy_shape(waits), [])
    assert "checkpoint that is being written" not in plain.hosts["learner rank"]
    (device,) = made.devices
    assert device.fits
    assert device.seconds is None
    small = config("rollout.kv_cache_mib=8", "rollout.max_model_len=8192", profile="local")
    (device,) = make_plan(small, QWEN, []).devices
    assert not device.fits
    wider = resolve(small.model_dump(mode="json"), "plan", device.remedies[0].overrides)
    assert make_plan(wider, QWEN, []).devices[0].fits


SMALL = ModelShape(134_515_008, 28_311_552, 30, 3_540_096, 576, 1536, 192, 49_152, 3)
"""SmolLM2-135M."""


@pytest.mark.parametrize(
    ("profile", "shape", "overrides", "learner", "engine"),
    [
        ("local", None, (), 0.76, 1.84),
        ("local", SMALL, ("learner.advantage=rloo", "learner.kl_coefficient=0"), 5.52, 2.90),
        ("real-model", QWEN, ("learner.token_budget=2048",), 9.29, 5.56),
    ],
)
def test_the_memory_of_the_host_is_what_runs_measured(
    profile: str, shape: ModelShape | None, overrides: Sequence[str], learner: float, engine: float
) -> None:
    """The runs of docs/hardware.md; an engine without its collector. These runs waited for their
    checkpoints."""
    settings = config(*overrides, "loop.checkpoint_in_background=false", profile=profile)
    hosts = make_plan(settings, shape or policy_shape(settings), []).hosts
    gib = {role: sum(parts.values()) / 2**30 for role, parts in hosts.items()}
    assert gib["learner rank"] == pytest.approx(learner, rel=0.15)
    alone = gib["engine"] - hosts["engine"]["collector"] / 2**30
    assert alone == pytest.approx(engine, rel=0.15)


def test_the_bundled_models_shape_is_that_of_its_configuration() -> None:
    settings = config(profile="local")
    shape = policy_shape(settings)
    assert (shape.layers, shape.hidden, shape.vocabulary) == (4, 128, 512)
    assert shape.parameters == 935_040


def test_a_runs_seconds_are_taken_for_its_own_configuration_only(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder, steps=4)
    settings = load_config(folder / "config.yaml", [])
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [row["seconds/step"] for row in rows if "suite" not in row][1:]
    made = make_plan(settings, policy_shape(settings), [], [0.4], folder)
    (device,) = made.devices
    assert device.seconds is not None
    assert device.seconds.step == pytest.approx(sum(steps) / len(steps))
    assert device.cost == pytest.approx(device.seconds.step * 1000 / 3600 * 0.4)
    assert made.as_json()["assumptions"] is None
    longer = load_config(folder / "config.yaml", ["--loop.steps", "900"])
    make_plan(longer, policy_shape(longer), [], run=folder)
    other = load_config(folder / "config.yaml", ["--rollout.workers", "3"])
    with pytest.raises(ConfigError, match=r"its rollout\.workers is 1, and 3 is planned"):
        make_plan(other, policy_shape(other), [], run=folder)
    with pytest.raises(ConfigError, match="not the folder of a run"):
        make_plan(settings, policy_shape(settings), [], run=tmp_path)
