"""Engines: the precision of their gradients, what decays, and models that are never trained."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from learner.config import CriticOptimizerConfig, OptimizerConfig, ZeroConfig
from learner.models.networks import CriticModel
from learner.models.pretrained import load_critic, load_policy
from learner.zero.engine import Engine
from learner.zero.parameter_groups import parameter_groups
from tests.learner.ranks import weights
from tests.learner.runs import assert_same, new_learner, run_fresh
from tests.learner.samples import grouped, random_trajectories

# The first test to use the runs on two ranks waits for all of them.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MICRO_BATCHES = 1024


class Dot(nn.Module):
    """Its gradient is its input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(64))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return (self.weight * inputs).sum()


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_gradients_of_many_micro_batches_add_up_in_bfloat16(stage: Literal[1, 2, 3]) -> None:
    """The addends are exact in bfloat16, so only their sum can be wrong."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(MICRO_BATCHES, 64, generator=generator).bfloat16()
    low = inputs[0].clone()
    for row in inputs[1:]:
        low += row
    expected = float(inputs.double().sum(0).norm())
    assert abs(float(low.double().norm()) / expected - 1) > 0.2, "a bfloat16 sum is far off"
    optimizer = OptimizerConfig(lr=1e-3)
    engine = Engine(Dot(), optimizer, ZeroConfig(stage=stage), torch.bfloat16)
    for row in inputs:
        engine.backward(engine(row))
    assert engine.step(1.0) == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("stage", [1, 2])
def test_optimizer_state_that_was_on_the_host_gives_the_same_weights(
    stage: Literal[1, 2], tmp_path: Path
) -> None:
    assert ZeroConfig(stage=stage).optimizer_moves == (stage == 2)

    def trained(moves: bool) -> torch.Tensor:
        engine = Engine(Dot(), OptimizerConfig(lr=1e-2), ZeroConfig(stage=stage), torch.bfloat16)
        for step in range(3):
            engine.backward(engine(torch.full((64,), step + 1.0).bfloat16()))
            engine.step(1.0)
            if moves:
                engine.give_optimizer_state()
                assert len(list(engine.named_parameters())) == 1  # a broadcast reads them now
                engine.save(tmp_path)
                engine.take_optimizer_state()
                engine.load(tmp_path)
        return dict(engine.named_parameters())["weight"].clone()

    assert torch.equal(trained(True), trained(False))


def test_only_the_matrices_of_linear_layers_decay(model_dir: Path) -> None:
    critic = load_critic(model_dir, torch.float32)
    block: nn.Module = critic.backbone.layers[0]  # type: ignore[union-attr]
    block.self_attn.q_proj.bias = nn.Parameter(torch.zeros(32))  # type: ignore[union-attr]
    names = {id(parameter): name for name, parameter in critic.named_parameters()}
    optimizer = CriticOptimizerConfig(lr=1e-3, head_lr=1e-2, weight_decay=0.1)
    settings = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in parameter_groups(critic, optimizer)
        for parameter in group["params"]
    }
    assert settings.keys() == set(names.values()), "every parameter is in one group"
    for name, (lr, decay) in settings.items():
        assert lr == (1e-2 if name.startswith("value_head") else 1e-3), name
        spared = "norm" in name or "embed" in name or "bias" in name
        assert decay == (0.0 if spared else 0.1), name


def test_a_tied_output_layer_does_not_decay(model_dir: Path) -> None:
    policy = load_policy(model_dir, torch.float32)
    decays = {"embed_tokens": 0.0, "lm_head": 0.1}
    for tied in (False, True):
        if tied:
            policy.model.lm_head.weight = policy.model.get_input_embeddings().weight
            decays = {"embed_tokens": 0.0}
        groups = parameter_groups(policy, OptimizerConfig(lr=1e-3, weight_decay=0.1))
        of = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        found = {
            name.split(".")[-2]: of[id(parameter)]
            for name, parameter in policy.named_parameters()
            if "embed" in name or "lm_head" in name
        }
        assert found == decays


def test_a_value_head_in_bfloat16_computes_in_float32(model_dir: Path) -> None:
    """Values are not rounded to bfloat16, whose steps near 1 are 0.008."""
    critic: CriticModel = load_critic(model_dir, torch.bfloat16)
    with torch.no_grad():
        critic.value_head.weight.fill_(0.01)
        critic.value_head.bias.fill_(1.0)
    states = torch.randn(20, critic.value_head.in_features).bfloat16()
    values = critic.value_head(states)
    assert values.dtype == torch.float32
    weight = critic.value_head.weight.double()
    torch.testing.assert_close(values.double(), (states.double() @ weight.T)[:, 0] + 1)
    assert not torch.equal(values, values.bfloat16().float())


def test_without_a_kl_penalty_no_reference_is_loaded(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    monkeypatch.setattr(
        "learner.actor_critic.load_policy", lambda *a, **k: loads.append(1) or load_policy(*a, **k)
    )
    with_penalty = new_learner(model_dir, kl_coefficient=1e-9)
    assert len(loads) == 2
    without = new_learner(model_dir, kl_coefficient=0.0)
    assert len(loads) == 3
    batch = grouped(random_trajectories(1))
    assert "kl" in with_penalty.update(batch)
    assert "kl" not in without.update(batch)
    first, second = weights(with_penalty), weights(without)
    assert_same(first, second, 1e-5)


def test_stage_3_partitions_the_reference(two_ranks: dict[str, dict]) -> None:
    """A rank keeps its half; the gradients are those of the whole reference (the exactness
    tests).
    """
    whole = two_ranks["stage-2"]["reference"]
    assert whole[0] == whole[1]
    for part in two_ranks["stage-3"]["reference"]:
        assert part <= 0.51 * whole[0]


def test_an_offloaded_reference_gives_the_same_weights(model_dir: Path) -> None:
    penalised = {"kl_coefficient": 0.5}
    whole, _ = run_fresh(model_dir, **penalised, zero={"stage": 2})
    zero = {"stage": 3, "offload_parameters": True, "offload_optimizer": True}
    offloaded, _ = run_fresh(model_dir, **penalised, zero=zero)
    assert_same(offloaded, whole, 2e-6)
