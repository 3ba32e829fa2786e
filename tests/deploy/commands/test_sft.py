"""`stepcoder sft`: from a file of problems to a model folder, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curriculum import FULL_TASK, PromptEncoder, cut, synthetic_problems, write_problems
from curriculum.config import PromptConfig
from curriculum.problem import Problem
from deploy.cli import main
from deploy.commands.sft import pairs, split
from deploy.config import load_config
from deploy.errors import ConfigError

QUICK = ["--sft.steps", "2", "--sft.batch_size", "4", "--model.hidden_size", "32"]
QUICK += ["--model.layers", "1", "--sft.warmup_steps", "0"]


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return synthetic_problems(5, 8)


@pytest.fixture
def source(problems: list[Problem], tmp_path: Path) -> Path:
    path = tmp_path / "problems.jsonl"
    write_problems(path, problems)
    return path


@pytest.mark.integration
def test_sft_writes_a_model_folder_that_training_accepts(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "warm"
    assert main(["sft", str(source), "-o", str(out), "--heldout", "0.25", *QUICK]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"sft: 18 problems to learn from, 6 held out -> {out}"
    assert printed[-2].startswith("step 2/2  loss ")
    assert "held out" in printed[-2]
    assert printed[-2].endswith("left 0:00")
    result = json.loads(printed[-1])
    assert (result["pairs"], result["steps"]) == (18, 2)
    assert result["heldout_loss"] > 0
    from deploy.checks.model import check_model

    check_model(load_config(None, ["--model.path", str(out)]))
    again = tmp_path / "more"
    assert main(["sft", str(source), "-o", str(again), "--model", str(out), *QUICK[:4]]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["loss"] < result["loss"]


@pytest.mark.integration
def test_held_out_problems_are_solved_in_the_sandbox(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "sft",
        str(source),
        "-o",
        str(tmp_path / "warm"),
        "--heldout",
        "0.25",
        "--solve",
        "2",
    ]
    assert main([*arguments, *QUICK, "--sandbox.backend", "process"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["asked"] == 2
    assert result["pass_rate"] == result["solved"] / 2


def test_prompts_equal_those_of_rl(problems: list[Problem], tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    from learner.sft import encode_pairs
    from learner.tokenizer import token_bytes

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    encoder = PromptEncoder(tokenizer, token_bytes(tokenizer), PromptConfig())
    examples = encode_pairs(pairs(problems, PromptConfig()), tokenizer)
    for problem, example in zip(problems, examples, strict=True):
        subtask = cut(problem, FULL_TASK, frozenset())
        assert tuple(example.prompt_ids) == encoder.encode(subtask).ids
        assert subtask.prefix + subtask.remainder == problem.solution


def test_held_out_problems_share_no_question(problems: list[Problem], source: Path) -> None:
    twice = [*problems, *(p.model_copy(update={"id": f"{p.id}-again"}) for p in problems)]
    train, heldout = split(twice, 0.3, 0, source)
    assert len(train) + len(heldout) == len(twice)
    assert len(heldout) == 2 * round(0.3 * len(problems))
    assert not {p.question for p in train} & {p.question for p in heldout}
    assert split(twice, 0.3, 0, source) == (train, heldout)
    assert split(twice, 0.3, 1, source) != (train, heldout)


@pytest.mark.parametrize(
    ("share", "message"), [(1.0, "a share lies between 0 and 1"), (-0.1, "--heldout -0.1")]
)
def test_a_heldout_share_outside_0_to_1_is_refused(
    share: float, message: str, problems: list[Problem], source: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        split(problems, share, 0, source)


@pytest.mark.integration
def test_wrong_arguments_of_sft_end_in_one_message(
    source: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "monday.txt").touch()
    missing = str(tmp_path / "nowhere")
    for arguments, message in (
        (["-o", str(tmp_path / "notes")], "exists and is no model folder"),
        (["-o", str(tiny_model)], "holds a model; replace it with --overwrite"),
        (["-o", str(tmp_path / "x"), "--model", missing], "no such folder"),
        (["-o", str(tmp_path / "x"), "--sft.stepz", "3"], "did you mean sft.steps?"),
        (
            ["-o", str(tmp_path / "x"), *QUICK, "--model.max_position_embeddings", "8"],
            "none of the 23 pairs fits into 8 tokens",
        ),
    ):
        assert main(["sft", str(source), *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
    assert main(["sft", missing, "-o", str(tmp_path / "x")]) == 2
    assert "nowhere: No such file or directory" in capsys.readouterr().err


def test_a_model_folder_below_a_file_is_refused_before_learning(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sft", str(source), "-o", str(source / "a" / "b")]) == 2
    assert f"{source} is a file, not a folder; name another" in capsys.readouterr().err


def test_skipped_records_are_reported(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = tmp_path / "spoilt.jsonl"
    spoilt.write_text(source.read_text() + '{"id": "half"}\n')
    refused_later = ["-o", str(tmp_path / "x"), "--skip-bad", "--heldout", "1"]
    assert main(["sft", str(spoilt), *refused_later]) == 2
    assert "left out 1 for" in capsys.readouterr().err
