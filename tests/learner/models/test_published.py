"""Published tokenizers: what their files say is what is loaded, or they are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, LlamaConfig

from learner.errors import ModelError
from learner.models.published import CODE, leading_ids, load_tokenizer
from learner.tokenizer import completion_text, token_bytes
from tests.curriculum.tokenizers import CHAT_ML, byte_level, sentencepiece
from tests.published import PUBLISHED, needs_models, on_one_worker, tokenizer_of

pytestmark = on_one_worker

TEXTS = [CODE, "def g(a, b):\n    return a + b\n"] * 3


def saved(tokenizer: Any, folder: Path, **settings: Any) -> Path:
    """A folder with this tokenizer, and these settings in its `tokenizer_config.json`."""
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    return folder


@pytest.fixture
def deepseek(tmp_path: Path) -> Path:
    """A folder as DeepSeek publishes: byte-level BPE under the name of a sentencepiece class."""
    tokenizer = byte_level(TEXTS)
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.chat_template = CHAT_ML
    return saved(
        tokenizer,
        tmp_path / "deepseek",
        tokenizer_class="LlamaTokenizerFast",
        add_bos_token=True,
        bos_token="<|im_start|>",
    )


def test_a_class_that_would_replace_parts_of_the_file_does_not(deepseek: Path) -> None:
    damaged: Any = AutoTokenizer.from_pretrained(deepseek)
    assert damaged.decode(damaged.encode(CODE, add_special_tokens=False)) != CODE, "the fault"
    tokenizer: Any = load_tokenizer(deepseek)
    ids = tokenizer.encode(CODE, add_special_tokens=False)
    assert ids == Tokenizer.from_file(str(deepseek / "tokenizer.json")).encode(CODE).ids
    assert tokenizer.decode(ids) == CODE
    assert tokenizer.chat_template == CHAT_ML


def test_bos_stands_in_front_where_the_configuration_says_so(deepseek: Path) -> None:
    tokenizer: Any = load_tokenizer(deepseek)
    assert leading_ids(tokenizer) == (tokenizer.bos_token_id,) == tuple(tokenizer.encode(""))
    saved(tokenizer, deepseek, add_bos_token=False)
    assert leading_ids(load_tokenizer(deepseek)) == (tokenizer.bos_token_id,), "the file has it now"


def test_a_tokenizer_that_was_written_again_is_read_right_by_everybody(
    deepseek: Path, tmp_path: Path
) -> None:
    tokenizer: Any = load_tokenizer(deepseek)
    for config in (None, LlamaConfig()):
        folder = tmp_path / f"beside {config and config.model_type}"
        tokenizer.save_pretrained(folder)
        if config:
            config.save_pretrained(folder)
        engine: Any = AutoTokenizer.from_pretrained(folder)
        assert engine.encode(CODE) == tokenizer.encode(CODE)
        assert (engine.eos_token_id, engine.chat_template) == (tokenizer.eos_token_id, CHAT_ML)


def test_an_eos_behind_every_text_is_not_in_front_of_it(tmp_path: Path) -> None:
    tokenizer: Any = byte_level(TEXTS)
    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    assert leading_ids(load_tokenizer(saved(tokenizer, tmp_path))) == ()


def test_a_space_in_front_of_the_first_word_is_no_change(tmp_path: Path) -> None:
    tokenizer: Any = load_tokenizer(saved(sentencepiece(TEXTS), tmp_path))
    ids = tokenizer.encode(CODE, add_special_tokens=False)
    assert completion_text(ids, token_bytes(tokenizer)) == f" {CODE}"


def test_a_tokenizer_that_changes_code_is_refused_with_the_change(tmp_path: Path) -> None:
    tokenizer: Any = byte_level(TEXTS)
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(ModelError, match=r"changes code: 'A:.*' comes back as 'a:"):
        load_tokenizer(saved(tokenizer, tmp_path / "lower"))
    spaceless: Any = byte_level(TEXTS)
    spaceless.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    spaceless.backend_tokenizer.decoder = decoders.Metaspace()
    with pytest.raises(ModelError, match="its tokenizer changes code"):
        load_tokenizer(saved(spaceless, tmp_path / "spaceless"))


def test_a_tokenizer_without_eos_is_refused(tmp_path: Path) -> None:
    folder = saved(byte_level(TEXTS), tmp_path, eos_token=None)
    with pytest.raises(ModelError, match="names no eos_token"):
        load_tokenizer(folder)


def test_a_slow_tokenizer_is_converted(tmp_path: Path) -> None:
    """Vocabulary and merges, as GPT-2 and StarCoder were published."""
    whole = saved(byte_level(TEXTS), tmp_path / "whole")
    model = json.loads((whole / "tokenizer.json").read_text())["model"]
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "vocab.json").write_text(json.dumps(model["vocab"]))
    (slow / "merges.txt").write_text("".join(f"{a} {b}\n" for a, b in model["merges"]))
    settings = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|end|>", "bos_token": "<|end|>"}
    (slow / "tokenizer_config.json").write_text(json.dumps(settings | {"unk_token": "<|end|>"}))
    tokenizer: Any = load_tokenizer(slow)
    assert tokenizer.decode(tokenizer.encode(CODE, add_special_tokens=False)) == CODE


def test_a_slow_tokenizer_without_a_fast_form_is_refused_with_the_command(tmp_path: Path) -> None:
    settings = {"tokenizer_class": "BloodhoundTokenizer", "eos_token": "</s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "words.bin").write_bytes(b"\0")
    with pytest.raises(ModelError, match=r"no tokenizer\.json, .*not converted .*save_pretrained"):
        load_tokenizer(tmp_path)


def test_a_damaged_file_is_named(deepseek: Path) -> None:
    (deepseek / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="its tokenizer cannot be read"):
        load_tokenizer(deepseek)


@needs_models
@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("tokenizers/qwen3", []),
        ("tokenizers/deepseek_v3", ["<｜begin▁of▁sentence｜>"]),
        ("tokenizers/llama3", []),
        ("tokenizers/llama2", ["<s>"]),
        ("tokenizers/gemma3", ["<bos>"]),
        ("qwen2.5-coder-0.5b-instruct", []),
        ("smollm2-135m-instruct", []),
    ],
)
def test_real_tokenizers_are_what_their_files_say(name: str, begin: list[str]) -> None:
    tokenizer, _ = tokenizer_of(name)
    ids = tokenizer.encode(CODE, add_special_tokens=False)
    file = Tokenizer.from_file(str(PUBLISHED / name / "tokenizer.json"))
    assert ids == file.encode(CODE, add_special_tokens=False).ids
    assert tokenizer.convert_ids_to_tokens(list(leading_ids(tokenizer))) == begin
