"""A CPU engine's log-probabilities are those of float64, for vocabularies of real size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import torch
from types import SimpleNamespace
from actors.weights.vllm_extension import exact_logprobs
from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler
from vllm.v1.sample.sampler import Sampler
torch.manual_seed(0)
# A few likely tokens and a tail as a small trained model has it.
logits = torch.randn(64, 50_000) * 1.5 - 8
logits[:, :3] = 6.0
expected = logits.double().log_softmax(-1)
sampler = TopKTopPSampler("processed_logprobs")
_, processed = sampler.forward_cpu(logits.clone(), {}, None, None)
for actual in (exact_logprobs(logits), Sampler.compute_logprobs(logits), processed):
    print(float((actual.double() - expected).abs().max()))
kept, truncated = sampler.forward_cpu(logits.clone(), {}, None, torch.full((64,), 0.5))
assert torch.isinf(truncated).any() and torch.isfinite(truncated.gather(-1, kept[:, None])).all()
"""


@pytest.mark.integration
def test_logprobs_are_exact_however_large_the_vocabulary() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    differences = [float(line) for line in ended.stdout.split()[-3:]]
    assert max(differences) < 5e-6
