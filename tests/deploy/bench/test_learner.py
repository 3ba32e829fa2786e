"""The benchmark's parts do the same work and measure what they say; nothing here is timed."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import deploy.bench.learner.baselines as baselines
from deploy.bench.learner.measure import GROUP, VOCABULARY, Workload, make_model, samples

SMALL = Workload(
    samples=8, minibatch=4, micro_batch=2, longest_prompt=8, longest_response=12, hidden_size=32,
    layers=1,
)  # fmt: skip


def spec(folder: Path, kind: str) -> dict:
    parts = {name: getattr(SMALL, name) for name in Workload.__slots__}
    return {**parts, "kind": kind, "model": str(folder)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "model"
    make_model(folder, SMALL)
    return folder


def test_every_contender_gets_the_same_samples(folder: Path) -> None:
    ours, theirs = samples(spec(folder, "ours")), samples(spec(folder, "trl"))
    assert ours == theirs
    assert len(ours) == SMALL.samples
    prompts = {tuple(prompt) for prompt, _, _ in ours}
    assert len(prompts) == SMALL.samples // GROUP
    assert max(token for p, r, _ in ours for token in (*p, *r)) < VOCABULARY


@pytest.mark.integration
def test_ours_and_full_logits_reach_the_same_weights(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One optimizer step over all samples, so that neither's order of samples matters."""
    whole = {**spec(folder, ""), "minibatch": SMALL.samples}
    monkeypatch.setattr(baselines, "LR", 1e-3)
    before = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    ours = baselines._ours(whole)
    ours()
    learner = ours.__closure__[1].cell_contents  # type: ignore[index]
    actual = {name: weight.clone() for name, weight in learner.named_weights()}
    full = baselines._full_logits(whole)
    full()
    cells = dict(zip(full.__code__.co_freevars, full.__closure__ or (), strict=True))
    expected = cells["policy"].cell_contents.state_dict()
    assert max(float((expected[n] - before[n]).abs().max()) for n in expected) > 1e-4
    close = [torch.isclose(actual[n], expected[n], atol=1e-4) for n in expected]
    assert torch.cat([c.flatten() for c in close]).float().mean() > 0.999


def test_the_memory_of_the_loss_is_that_of_a_chunk() -> None:
    shape = {"vocabulary": 20_000, "hidden_size": 16, "threads": 1}
    specs = [
        {**shape, "kind": kind, "tokens": tokens}
        for kind, tokens in (("loss_chunked", 1024), ("loss_chunked", 4096), ("loss_full", 4096))
    ]
    # New processes, as in the benchmark: memory that earlier tests freed would hide a peak. They
    # are forked from one that has imported what they use.
    context = get_context("forkserver")
    context.set_forkserver_preload(["torch", "learner.models.logprobs", baselines.__name__])
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        *chunked, full = pool.map(baselines._loss, specs)
    logits = 4096 * 20_000 * 4 / 2**20
    assert full > 2 * logits
    assert chunked[1] < 0.4 * full
    assert chunked[1] < 1.3 * chunked[0] + 20
