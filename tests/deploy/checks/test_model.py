"""What a run asks of its model is refused by name before anything starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    FalconMambaConfig,
    GPTBigCodeConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    T5Config,
)

from deploy.checks.model import check_model
from deploy.config import load_config
from deploy.errors import ConfigError
from learner.errors import ModelError
from learner.models.pretrained import load_policy

SMALL: dict[str, Any] = {
    "vocab_size": 700,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 48,
    "max_position_embeddings": 1024,
}
FEW_TOKENS: dict[str, Any] = SMALL | {"vocab_size": 300}
WIDER: dict[str, Any] = SMALL | {"intermediate_size": 64}


def check(folder: Path, *overrides: str) -> Any:
    return check_model(load_config(None, ["--model.path", str(folder), *overrides]))


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model's folder."""
    return shutil.copytree(tiny_model, tmp_path / "model")


def described(model: Path, config: Any) -> Path:
    """The folder with another configuration, beside the weights of the first."""
    config.save_pretrained(model)
    return model


def stored(model: Path, config: Any) -> Path:
    """The folder with another model of random weights."""
    AutoModelForCausalLM.from_config(config).save_pretrained(model)
    return model


def test_a_model_that_is_supported_passes_with_its_absolute_path(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    assert check(Path("model")).model.path == str(model)


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SMALL, rope_parameters={"rope_type": "linear", "factor": 4.0}),
        Qwen2Config(**SMALL, tie_word_embeddings=True),
        MistralConfig(**SMALL, sliding_window=64),
    ],
)
def test_published_architectures_pass_without_memory_for_weights(config: Any, model: Path) -> None:
    check(stored(model, config), "--learner.critic_layers", "1", "--learner.lora.rank", "4")


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        (T5Config(), (), "a model of type t5 is not supported"),
        (FalconMambaConfig(**{k: SMALL[k] for k in ("vocab_size", "hidden_size")}), (),
         "FalconMambaModel cannot learn from packed sequences"),
        (GPTBigCodeConfig(vocab_size=700, n_embd=32, n_layer=2, n_head=2),
         ("--learner.critic_layers", "1"),
         "critic_layers is not supported for models of type gpt_bigcode"),
        (LlamaConfig(**SMALL), ("--learner.critic_layers", "3"), "the policy has 2; lower"),
        (LlamaConfig(**SMALL), ("--learner.lora.rank", "4", "--learner.lora.targets", "[c_attn]"),
         "lora.targets: 'c_attn' is no linear layer"),
        (LlamaConfig(**SMALL), ("--rollout.max_model_len", "1025"),
         "its context has 1024 tokens, and rollout.max_model_len is 1025; lower it"),
        (LlamaConfig(**SMALL), ("--rollout.stop_token_ids", "[699, 700]"),
         "700 is no token; its ids end at 699"),
        (LlamaConfig(**FEW_TOKENS), (), "the model 300 embeddings"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(
    config: Any, overrides: tuple[str, ...], message: str, model: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        check(described(model, config), *overrides)


def test_rope_scaling_lengthens_the_context(model: Path) -> None:
    rope = {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}
    folder = stored(model, LlamaConfig(**SMALL, rope_parameters=rope))
    check(folder, "--rollout.max_model_len", "4096")
    with pytest.raises(ConfigError, match="its context has 4096 tokens"):
        check(folder, "--rollout.max_model_len", "4097")


def test_weights_that_are_missing_are_named(model: Path) -> None:
    weights = model / "model.safetensors"
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    weights.rename(model / "model-1.safetensors")
    with pytest.raises(ConfigError, match=r"1 of 2 files .* missing, the first model-2"):
        check(model)
    (model / "model.safetensors.index.json").unlink()
    (model / "model-1.safetensors").unlink()
    with pytest.raises(ConfigError, match="holds no weights"):
        check(model)
    (model / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"no config\.json there"):
        check(model)


REMOTE = """
from transformers import LlamaConfig, LlamaForCausalLM
class OddConfig(LlamaConfig):
    model_type = "odd"
class OddModel(LlamaForCausalLM):
    config_class = OddConfig
"""


def bring_python(model: Path, code: str) -> None:
    """Make `model` one that brings a Python file."""
    file = model / "config.json"
    described = json.loads(file.read_text()) | {
        "model_type": "odd",
        "auto_map": {"AutoConfig": "odd.OddConfig", "AutoModelForCausalLM": "odd.OddModel"},
    }
    file.write_text(json.dumps(described))
    (model / "odd.py").write_text(code)


def test_python_files_of_a_model_run_by_choice_only(model: Path) -> None:
    bring_python(model, REMOTE)
    with pytest.raises(ConfigError, match=r"Python files of its own.*model\.trust_remote_code"):
        check(model)
    check(model, "--model.trust_remote_code", "true")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", "null", "holds no JSON object: copy it again"),
        ("config.json", '{"model_type": "lla', "not readable as JSON"),
        ("generation_config.json", '{"eos_tok', "not readable as JSON"),
        (
            "generation_config.json",
            '{"eos_token_id": [1, "a"]}',
            "not a token id or a list of them",
        ),
        ("model.safetensors", "", r"model\.safetensors: cut off"),
        ("model.safetensors", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("model.safetensors.index.json", "{}", r"names no files of weights \(weight_map\)"),
        ("adapter_config.json", "{}", "merge them into their base model"),
    ],
)
def test_a_file_that_is_damaged_is_named(model: Path, name: str, text: str, message: str) -> None:
    (model / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        check(model)


def test_weights_that_are_cut_off_are_refused_without_being_read(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"model\.safetensors: cut off .*download it again"):
        check(model)
    weights.unlink()
    weights.symlink_to("blobs/absent")
    with pytest.raises(ConfigError, match=r"holds no weights.*is a link to a file that is not"):
        check(model)


def test_weights_that_do_not_belong_to_the_configuration_are_refused(model: Path) -> None:
    """Else what is missing would be random."""
    untied = stored(model, LlamaConfig(**SMALL, tie_word_embeddings=True))
    described(untied, LlamaConfig(**SMALL, tie_word_embeddings=False))
    with pytest.raises(ConfigError, match=r"1 weights .* in none of its files.* lm_head\.weight"):
        check(untied)
    with pytest.raises(ModelError, match="tie_word_embeddings"):
        load_policy(untied, torch.float32)
    described(model, LlamaConfig(**WIDER))
    with pytest.raises(ConfigError, match="other shapes than"):
        check(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": "64"}, "'hidden_size' expected int, got str"),
        ({"num_attention_heads": 0}, "ZeroDivisionError"),
        ({"hidden_act": "nonesuch"}, "wrong value: KeyError: 'nonesuch'"),
        ({"rope_parameters": {"rope_type": "nonesuch", "factor": 2.0}}, "wrong value.*nonesuch"),
        ({"dtype": "float8_e4m3fn"}, "Float8_e4m3fn"),
        ({"pad_token_id": 99_999}, "wrong value: AssertionError: Padding_idx"),
        ({"quantization_config": {"quant_method": "awq"}}, r"quantised \(awq\).*in bfloat16"),
        ({"quantization_config": {}}, "transformers cannot load it .*quant_method"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "which writes no text"),
    ],
)
def test_a_wrong_value_of_the_configuration_ends_in_one_message(
    changes: dict[str, Any], message: str, model: Path
) -> None:
    file = model / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(ConfigError, match=message):
        check(model)


def test_an_error_of_a_models_own_python_ends_in_one_message(model: Path) -> None:
    bring_python(model, "raise RuntimeError('boom')")
    with pytest.raises(ConfigError, match="RuntimeError: boom"):
        check(model, "--model.trust_remote_code", "true")


@pytest.mark.parametrize("name", ["owner/model.git", "a--b/model", "owner/" + "n" * 100])
def test_a_name_that_the_hub_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no name that the hub allows"):
        check(Path(name))


def test_a_type_that_nobody_knows_is_refused(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "nonesuch"}')
    with pytest.raises(ConfigError, match=r"describes no model that transformers knows"):
        check(model)
