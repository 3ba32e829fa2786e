"""The models of one rank: loading them, scoring tokens, and exporting the policy."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from learner.errors import ModelError
from tests.learner.ranks import weights
from tests.learner.runs import new_learner, same
from tests.learner.samples import grouped, random_trajectories

pytestmark = pytest.mark.integration


def test_token_logprobs_equal_full_log_softmax(model_dir: Path) -> None:
    sequences = [t.token_ids for t in random_trajectories(1)]
    model = AutoModelForCausalLM.from_pretrained(model_dir)
    actual = new_learner(model_dir, token_budget=30).token_logprobs(sequences, temperature=0.6)
    for tokens, row in zip(sequences, actual, strict=True):
        ids = torch.tensor(tokens)
        with torch.no_grad():
            logprobs = (model(ids[None]).logits[0, :-1] / 0.6).log_softmax(-1)
        torch.testing.assert_close(
            torch.tensor(row), logprobs.gather(-1, ids[1:, None])[:, 0], atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("stage", [2, 3])
def test_exported_weights_have_hugging_face_names_and_shapes(stage: int, model_dir: Path) -> None:
    learner = new_learner(model_dir, zero={"stage": stage, "export_bucket_mib": 1})
    expected = AutoModelForCausalLM.from_pretrained(model_dir).state_dict()
    actual = {name: weight.clone() for name, weight in learner.named_weights()}
    assert actual.keys() == expected.keys()
    assert same(expected, actual)
    assert learner.weight_shapes() == [
        (name, weight.dtype, tuple(weight.shape)) for name, weight in actual.items()
    ]


def test_stage_3_gathers_at_most_one_bucket_at_once(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import deepspeed

    gathered = []
    gather = deepspeed.zero.GatheredParameters

    def recorded(parameters: list, **options):
        gathered.append(sum(p.ds_numel * p.element_size() for p in parameters))
        return gather(parameters, **options)

    learner = new_learner(model_dir, zero={"stage": 3, "export_bucket_mib": 0.04})
    monkeypatch.setattr(deepspeed.zero, "GatheredParameters", recorded)
    sizes = [weight.numel() * 4 for _, weight in learner.named_weights()]
    assert sum(gathered) == sum(sizes)
    assert max(sizes) <= max(gathered) <= 0.04 * 2**20
    assert len(gathered) < len(sizes)


@pytest.mark.parametrize("stage", [2, 3])
def test_a_saved_policy_is_an_ordinary_model_folder(
    stage: int, model_dir: Path, tmp_path: Path
) -> None:
    learner = new_learner(model_dir, zero={"stage": stage})
    for seed in (1, 2):
        learner.update(grouped(random_trajectories(seed)))
        learner.save_pretrained(tmp_path / "out" / "policy")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "policy").state_dict()
    assert same(weights(learner)["policy"], loaded)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "policy")
    assert tokenizer.get_vocab() == AutoTokenizer.from_pretrained(model_dir).get_vocab()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["policy"]


def test_a_missing_model_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere: it has no config.json"):
        new_learner(tmp_path / "nowhere")


def test_a_critic_may_be_shallower_than_the_policy(model_dir: Path) -> None:
    learner = new_learner(model_dir, critic_layers=1)
    blocks = {name for name in weights(learner)["critic"] if ".layers." in name}
    assert blocks
    assert all(name.startswith("backbone.layers.0.") for name in blocks)
    assert math.isfinite(learner.update(grouped(random_trajectories(1)))["value_loss"])
    with pytest.raises(ModelError, match="cannot have 3 layers, the policy has 2"):
        new_learner(model_dir, critic_layers=3)


def test_a_tokenizer_larger_than_the_model_is_refused(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["one more", "and another"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"does not fit the model: it has \d+ tokens, the model"):
        new_learner(folder)
