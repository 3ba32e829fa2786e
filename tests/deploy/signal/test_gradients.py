"""The policy gradients of recorded groups, against plain PyTorch."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actors.recording.rollout_file import step_file
from deploy.errors import ConfigError
from deploy.signal.gradients import gradient_grams
from deploy.signal.recorded import recorded_groups
from learner.config import LearnerConfig
from learner.models.networks import PolicyModel

TEMPERATURE = 0.8
CONFIG = LearnerConfig(kl_coefficient=0)


def sample(number: int, tokens: list[int], advantages: list[float], **fields: Any) -> dict:
    flags = "1" * len(tokens)
    return {
        "sample_id": number,
        "token_ids": tokens,
        "engine_logprobs": [-1.0] * len(tokens),
        "executed_mask": flags,
        "blamed_mask": None,
        "agreed": None,
        "cut_mask": "0" * len(tokens),
        "reward": 1.0,
        "weight_version": 1,
        "outcome": "failed",
        "finish_reason": "stop",
        "learner": {
            "advantages": advantages,
            "logprobs": [-1.0] * len(tokens),
            "entropies": [1.0] * len(tokens),
        },
    } | fields


def record(*samples: dict, **fields: Any) -> dict:
    group = {"format": 1, "step": 1, "problem": "p", "stage": 0, "prompt_ids": [3, 4],
             "tier": "interview"}  # fmt: skip
    return group | {"samples": list(samples)} | fields


GROUPS = [
    record(
        sample(0, [5, 6, 7], [1.0, -1.0, 0.5], executed_mask="110"),
        sample(1, [8, 9], [-0.5, 2.0], blamed_mask="01", executed_mask="11"),
    ),
    record(sample(2, [9, 5], [1.0, 1.0], executed_mask="01"), sample(3, [7], [0.5], learner=None)),
    record(sample(4, [6], [0.0]), prompt_ids=[3]),
]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    path = step_file(tmp_path, 1)
    path.write_bytes(gzip.compress("".join(json.dumps(g) + "\n" for g in GROUPS).encode()))
    return [path]


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=12, num_attention_heads=2, tie_word_embeddings=False, **sizes)
    ).eval()


def by_hand(model: Any, *masks: dict[int, list[int]]) -> np.ndarray:
    """The groups' inner products, of one mask or of two."""
    tables = [table_by_hand(model, kept) for kept in masks]
    return tables[0] @ tables[-1].T


def table_by_hand(model: Any, kept: dict[int, list[int]]) -> np.ndarray:
    """The groups' gradients from whole logits, one sample after the other."""
    rows = []
    for group in GROUPS:
        total = torch.zeros(())
        for made in group["samples"]:
            if made["learner"] is None:
                continue
            ids = torch.tensor([group["prompt_ids"] + made["token_ids"]])
            logprobs = (model(ids).logits[0].float() / TEMPERATURE).log_softmax(-1)
            for at, token in enumerate(made["token_ids"]):
                if at in kept.get(made["sample_id"], range(9)):
                    new = logprobs[len(group["prompt_ids"]) + at - 1, token]
                    total = total + (new + 1.0).exp() * made["learner"]["advantages"][at]
        gradients = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
        rows.append(torch.cat([g.flatten() for g in gradients if g is not None]))
    return torch.stack(rows).double().numpy()


def test_the_gradients_are_those_of_plain_pytorch_with_each_mask(files, model) -> None:
    expected = {
        "none": by_hand(model, {}),
        "fgo": by_hand(model, {0: [0, 1], 2: [1]}),
        "error": by_hand(model, {0: [0, 1], 1: [1], 2: [1]}),
    }
    crossed = by_hand(model, {0: [0, 1], 2: [1]}, {})
    policy = PolicyModel(model)  # from here on the model takes packed sequences only
    groups = recorded_groups(files, None)
    assert [len(group.trajectories) for group in groups] == [2, 1, 1]
    masks = ("fgo", "error", "random", "none")
    grams = gradient_grams(policy, groups, CONFIG, masks, TEMPERATURE)
    assert (grams.baseline, len(grams)) == ("none", 3)
    for mask, gram in expected.items():
        np.testing.assert_allclose(grams.own[mask], gram, rtol=1e-4, atol=1e-6)
    assert grams.own["none"][2].tolist() == [0, 0, 0], "no advantage, no gradient"
    assert not np.allclose(grams.own["random"], grams.own["none"])
    assert grams.crossed.keys() == {"fgo", "error", "random"}
    np.testing.assert_allclose(grams.crossed["fgo"], crossed, rtol=1e-4, atol=1e-6)


def test_groups_are_limited_and_a_record_without_tokens_is_named(files) -> None:
    assert len(recorded_groups(files, 2)) == 2
    old = {key: value for key, value in GROUPS[0].items() if key != "prompt_ids"}
    files[0].write_bytes(gzip.compress(json.dumps(old).encode()))
    with pytest.raises(ConfigError, match=r"without 'prompt_ids': record the run again"):
        recorded_groups(files, None)


def test_gradients_that_do_not_fit_are_refused(files, model, monkeypatch) -> None:
    monkeypatch.setattr("deploy.signal.gradients.LARGEST_BYTES", 10_000)
    with pytest.raises(ConfigError, match=r"at most \d+ groups fit"):
        gradient_grams(model, recorded_groups(files, None), CONFIG, ("fgo",), 1.0)
