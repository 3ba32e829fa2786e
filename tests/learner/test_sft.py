"""Supervised fine-tuning: what is learned, what is written, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from learner.config import ModelConfig, OptimizerConfig, SFTConfig
from learner.errors import LearnerError, NonFiniteError
from learner.sft import encode_pairs, multiplies_in_bfloat16, sft
from learner.tokenizer import completion_text, token_bytes
from tests.learner.samples import CORPUS

SHAPE = ModelConfig(hidden_size=32, layers=2, heads=2, intermediate_size=64)


def quick(**changes) -> SFTConfig:
    optimizer = OptimizerConfig(lr=1e-2, betas=(0.9, 0.98))
    return SFTConfig(**{"steps": 60, "batch_size": 10, "optimizer": optimizer, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, list[dict]]:
    folder, progress = tmp_path_factory.mktemp("sft") / "model", []
    return folder, sft(CORPUS, quick(steps=100), SHAPE, folder, progress.append), progress


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has bfloat16 products")
def test_bfloat16_products_are_used_where_the_processor_has_them(tmp_path: Path) -> None:
    for flags, mixed in (("fpu avx2 avx512_bf16", True), ("fpu avx2 avx512f", False)):
        cpu_info = tmp_path / "cpuinfo"
        cpu_info.write_text(f"flags\t\t: {flags}\n")
        assert multiplies_in_bfloat16(quick(), cpu_info) == mixed
        for asked in (True, False):
            assert multiplies_in_bfloat16(quick(mixed_precision=asked), cpu_info) == asked


@pytest.mark.integration
def test_the_loss_falls_far_below_chance(trained: tuple[Path, dict, list[dict]]) -> None:
    _, result, progress = trained
    assert [d["step"] for d in progress] == [20, 40, 60, 80, 100]
    assert progress[0]["loss"] > 3 * progress[-1]["loss"]
    assert result["loss"] < 0.2
    assert result["loss"] == progress[-1]["loss"]
    assert result["pairs"] == len(CORPUS)


@pytest.mark.integration
def test_the_written_policy_completes_a_prompt_of_the_corpus(
    trained: tuple[Path, dict, list[dict]],
) -> None:
    folder, _, _ = trained
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("# add 3 and 5\n", return_tensors="pt").input_ids
    out = model.generate(ids, do_sample=False, max_new_tokens=60)[0, ids.shape[1] :].tolist()
    assert out[-1] == tokenizer.eos_token_id
    text = completion_text(out, token_bytes(tokenizer))
    assert text.startswith("def f(a):\n    if a > ")
    compile(text, "answer", "exec")


@pytest.mark.integration
def test_no_temporary_file_is_left_beside_the_folder(
    trained: tuple[Path, dict, list[dict]],
) -> None:
    folder, _, _ = trained
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.integration
def test_only_solution_and_end_of_sequence_are_learned(tmp_path: Path, model_dir: Path) -> None:
    """One step's loss is the mean negative log-probability of exactly those tokens."""
    pairs = CORPUS[:6]
    config = quick(steps=1, batch_size=6, mixed_precision=False, token_budget=60)
    result = sft(pairs, config, ModelConfig(path=str(model_dir)), tmp_path / "m", lambda _: None)
    model = AutoModelForCausalLM.from_pretrained(model_dir)
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    total, tokens = 0.0, 0
    for question, solution in pairs:
        prompt = tokenizer.encode(question)
        ids = torch.tensor([[*prompt, *tokenizer.encode(solution), tokenizer.eos_token_id]])
        labels = ids.clone()
        labels[0, : len(prompt)] = -100
        with torch.no_grad():
            loss = model(ids, labels=labels).loss
        learned = ids.shape[1] - len(prompt)
        total, tokens = total + float(loss) * learned, tokens + learned
    assert result["loss"] == pytest.approx(total / tokens, rel=1e-5)


@pytest.mark.integration
def test_training_continues_from_a_given_model(
    tmp_path: Path, trained: tuple[Path, dict, list]
) -> None:
    folder, first, _ = trained
    again = ModelConfig(path=str(folder))
    config = quick(steps=20, optimizer=OptimizerConfig(lr=1e-4))
    result = sft(CORPUS, config, again, tmp_path / "more", lambda _: None)
    assert result["loss"] < 1.2 * first["loss"]
    assert result["vocabulary"] == first["vocabulary"]


@pytest.mark.integration
def test_pairs_too_long_for_the_model_are_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = [*CORPUS[:20], ("# long\n", "x = 1\n" * 200)]
    names = [f"problem-{number}" for number in range(21)]
    result = sft(pairs, quick(steps=1), SHAPE, tmp_path / "m", lambda _: None, names=names)
    assert (result["pairs"], result["skipped_too_long"]) == (20, 1)
    assert "left out 1 of 21 pairs of more than 512 tokens: problem-20" in caplog.text
    with pytest.raises(LearnerError, match="none of the 1 pairs fits into 512 tokens"):
        sft(pairs[-1:], quick(steps=1), SHAPE, tmp_path / "n", lambda _: None)
    assert not (tmp_path / "n").exists()


@pytest.mark.integration
def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    states = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        sft(CORPUS, quick(steps=2, seed=seed), SHAPE, tmp_path / name, lambda _: None)
        states.append(AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict())
    first, second, other = states
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


@pytest.mark.integration
def test_a_failed_run_keeps_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    sft(CORPUS, quick(steps=1), SHAPE, folder, lambda _: None)
    before = (folder / "model.safetensors").read_bytes()
    explode = OptimizerConfig(lr=float("inf"))
    with pytest.raises(NonFiniteError, match="SFT step"):
        sft(CORPUS, quick(steps=5, optimizer=explode), SHAPE, folder, lambda _: None)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_prompt_and_solution_are_encoded_separately(model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    (example,) = encode_pairs([("# q\n", "x = 1")], tokenizer)
    assert list(example.prompt_ids) == tokenizer.encode("# q\n")
    assert list(example.solution_ids) == [*tokenizer.encode("x = 1"), tokenizer.eos_token_id]


@pytest.mark.integration
def test_held_out_pairs_are_measured_and_not_learned_from(
    tmp_path: Path, trained: tuple[Path, dict, list[dict]]
) -> None:
    folder, _, _ = trained
    pairs, heldout = CORPUS[:80], CORPUS[80:]
    config = quick(steps=20, eval_every=8, optimizer=OptimizerConfig(lr=1e-9))
    rows: list[dict] = []
    shape = ModelConfig(path=str(folder))
    result = sft(pairs, config, shape, tmp_path / "m", rows.append, heldout)
    measured = {row["step"]: row["heldout_loss"] for row in rows if "heldout_loss" in row}
    assert list(measured) == [8, 16, 20]
    model = AutoModelForCausalLM.from_pretrained(folder)
    examples = encode_pairs(heldout, AutoTokenizer.from_pretrained(folder))
    total, tokens = 0.0, 0
    for example in examples:
        ids = torch.tensor(example.token_ids)
        with torch.no_grad():
            logprobs = model(ids[None]).logits[0, :-1].log_softmax(-1)
        chosen = logprobs.gather(-1, ids[1:, None])[-len(example.solution_ids) :]
        total, tokens = total - float(chosen.sum()), tokens + len(chosen)
    assert result["heldout_loss"] == measured[20] == pytest.approx(total / tokens, rel=2e-2)
