"""Prompts are looked at before a run: what does not fit is left out, named, or refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from curriculum.datasets.load import DataSet
from curriculum.errors import UnusableData
from curriculum.problem import Problem
from curriculum.prompts.encode import PromptEncoder
from curriculum.synthetic.problems import synthetic_problems
from deploy.checks.prompts import PromptFit, fit_prompts
from deploy.config import RunConfig

LONG = "# " + "each: flip negative; " * 60


def renamed(problem: Problem, **changes: Any) -> Problem:
    return problem.model_copy(update=changes)


@pytest.fixture
def dataset() -> DataSet:
    """Three training problems and three held-out ones; one of each asks a very long question."""
    train, heldout = (synthetic_problems(seed, 1, name=f"s{seed}") for seed in (1, 2))
    train[2] = renamed(train[2], question=LONG)
    heldout[0] = renamed(heldout[0], question=LONG)
    return DataSet(train, heldout)


@pytest.fixture
def fitted(tiny_model: Path, tmp_path: Path, dataset: DataSet):
    """Fits the prompts of a run with these settings."""

    def make(**sections: Any) -> PromptFit:
        tree = {"model": {"path": str(tiny_model)}, "runs_dir": str(tmp_path), **sections}
        return fit_prompts(RunConfig.model_validate(tree), dataset, tiny_model)

    return make


def test_what_does_not_fit_is_left_out_of_training_and_evaluation_by_name(
    fitted: Any, dataset: DataSet, caplog: pytest.LogCaptureFixture
) -> None:
    made = fitted(rollout={"max_model_len": 256})
    assert made.dataset == DataSet(dataset.train[:2], dataset.heldout[1:])
    assert made.longest == 256 - 64
    caplog.set_level(logging.WARNING)
    made.log()
    for use, tier, problem in (
        ("training", "competition", dataset.train[2]),
        ("evaluation", "introductory", dataset.heldout[0]),
    ):
        assert f"left out of {use}: 1 problems (1 {tier}) whose prompt has more" in caplog.text
        assert f"{problem.id} (" in caplog.text
    [told] = made.left_out()["train"]
    assert (told["problem_id"], told["tier"]) == (dataset.train[2].id, "competition")
    assert told["tokens"] > made.longest


def test_prompts_that_do_not_fit_may_be_refused(fitted: Any) -> None:
    with pytest.raises(UnusableData, match=r"training: 1 problems .* raise rollout\.max"):
        fitted(rollout={"max_model_len": 256}, data={"too_long": "refuse"})
    assert fitted(rollout={"max_model_len": 4096}, data={"too_long": "refuse"}).train.too_long == ()


def test_a_run_of_which_nothing_is_left_is_refused(fitted: Any) -> None:
    with pytest.raises(UnusableData, match="training: no problem is left: 3 problems"):
        fitted(rollout={"max_model_len": 20, "min_new_tokens": 16})


def test_room_for_an_answer_is_at_most_its_longest(fitted: Any) -> None:
    assert fitted(rollout={"max_model_len": 256, "max_new_tokens": 20}).longest == 236


def test_lengths_are_encoded_once_for_the_same_prompts(
    fitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fitted(rollout={"max_model_len": 256})
    encode = PromptEncoder.encode
    encoded: list[str] = []

    def count(self: PromptEncoder, subtask: Any) -> Any:
        encoded.append(subtask.problem.id)
        return encode(self, subtask)

    monkeypatch.setattr(PromptEncoder, "encode", count)
    assert fitted(rollout={"max_model_len": 256}) == first
    assert fitted(rollout={"max_model_len": 4096}).train.too_long == ()
    assert encoded == []
    fitted(prompt={"template": "plain"})
    assert encoded
    assert len(list((tmp_path / "cache").glob("prompts-*.json"))) == 2


def test_problems_whose_prompt_names_no_function_are_counted(
    fitted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bare = fitted(rollout={"max_model_len": 4096})
    bare.log()
    assert len(bare.unnamed) == 6
    assert "the prompt of 6 problems names no function" in caplog.text
    caplog.clear()
    fitted(rollout={"max_model_len": 4096}, prompt={"template": "plain"}).log()
    assert caplog.text == ""


def test_the_bundled_model_knows_what_its_prompts_do_not_name(
    tiny_model: Path, tmp_path: Path, dataset: DataSet
) -> None:
    config = RunConfig.model_validate({"runs_dir": str(tmp_path)})
    assert fit_prompts(config, dataset, tiny_model).unnamed == ()
