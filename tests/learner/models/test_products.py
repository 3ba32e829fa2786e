"""Products in bfloat16 on a CPU: asked for, refused where the processor lacks them, and close."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from learner.agreement import compare_logprobs, logprob_difference
from learner.config import LoRAConfig
from learner.errors import ModelError
from learner.models.batch import token_batch
from learner.models.pretrained import load_policy
from learner.models.processor import CPU_INFO, has_bfloat16
from learner.models.products import products, set_products
from learner.models.published import load_tokenizer
from tests.learner.runs import new_learner
from tests.learner.samples import grouped, random_trajectories
from tests.published import PUBLISHED, needs_models

CPU = torch.device("cpu")
NEEDS_BFLOAT16 = pytest.mark.skipif(
    not has_bfloat16(), reason="this processor has no products in bfloat16"
)


@pytest.fixture(autouse=True)
def float32_products() -> Iterator[None]:
    yield
    set_products("float32", CPU)


def error(size: int = 256) -> float:
    """Largest error of a float32 product, as a share of its largest entry."""
    a, b = torch.randn(2, size, size, generator=torch.Generator().manual_seed(0))
    exact = (a.double() @ b.double()).float()
    return float((a @ b - exact).abs().max() / exact.abs().max())


def has_amx() -> bool:
    return "amx_bf16" in CPU_INFO.read_text()


@NEEDS_BFLOAT16
def test_products_are_rounded_only_where_they_are_asked_for() -> None:
    rounds = has_amx()
    assert error() < 1e-6
    set_products("bfloat16", CPU)
    assert (1e-4 < error() < 1e-2) if rounds else (error() < 1e-6)
    with products("ieee"):
        assert error() < 1e-6
    assert (error() > 1e-4) == rounds
    set_products("float32", CPU)
    assert error() < 1e-6


def test_a_processor_or_device_without_them_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("flags : fpu sse2 avx2\n")
    with pytest.raises(ModelError, match=r"no bfloat16 products .*: set cpu_products float32"):
        set_products("bfloat16", CPU, tmp_path / "cpuinfo")
    with pytest.raises(ModelError, match=r"on a GPU set learner\.dtype"):
        set_products("bfloat16", torch.device("cuda"), tmp_path / "cpuinfo")
    set_products("float32", CPU, tmp_path / "cpuinfo")


@pytest.mark.integration
@NEEDS_BFLOAT16
def test_log_probabilities_and_gradients_stay_close(model_dir: Path) -> None:
    batch = random_trajectories(1)
    sequences = [list(trajectory.token_ids) for trajectory in batch]
    exact = new_learner(model_dir, kl_coefficient=0.0)
    expected = exact.token_logprobs(sequences)
    norm = exact.update(grouped(batch))["policy_grad_norm"]
    rounded = new_learner(model_dir, kl_coefficient=0.0, cpu_products="bfloat16")
    actual = rounded.token_logprobs(sequences)
    difference = compare_logprobs(expected, actual)
    assert difference.largest > 0 or not has_amx()
    assert not difference.violation(exact=False, limit=0.05)
    assert rounded.update(grouped(batch))["policy_grad_norm"] == pytest.approx(norm, rel=0.02)
    assert next(rounded._policy.module.parameters()).dtype == torch.float32


@needs_models
@NEEDS_BFLOAT16
def test_a_pretrained_model_agrees_as_its_figures_say() -> None:
    folder = PUBLISHED / "smollm2-135m-instruct"
    tokenizer: Any = load_tokenizer(folder)
    text = "def f(numbers):\n    return sum(number for number in numbers if number % 2)\n"
    ids = tokenizer.encode(text * 2)
    policy = load_policy(folder, torch.float32, lora=LoRAConfig(rank=4))
    batch = token_batch([ids], [1], CPU)
    parameters = [p for p in policy.parameters() if p.requires_grad]
    logprobs, gradients = [], []
    for precision in ("float32", "bfloat16"):
        set_products(precision, CPU)
        values, _ = policy(batch, 1.0, 256)
        logprobs.append(values.detach())
        parts = torch.autograd.grad(values.sum(), parameters)
        gradients.append(torch.cat([part.flatten() for part in parts]).double())
    difference = logprob_difference((logprobs[0] - logprobs[1]).abs().tolist())
    assert difference.mean < 0.03
    assert difference.p99 < 0.2
    assert torch.cosine_similarity(*gradients, dim=0) > 0.999
