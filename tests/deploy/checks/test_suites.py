"""The suites of evaluations during training are read, and refused, before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curriculum.datasets.load import DataSet
from curriculum.datasets.problem_file import write_problems
from curriculum.errors import UnusableData
from curriculum.synthetic.problems import synthetic_problems
from deploy.checks.prompts import fit_prompts
from deploy.checks.suites import load_eval_suites
from deploy.config import RunConfig
from deploy.errors import ConfigError

DATA = DataSet(synthetic_problems(1, 2), synthetic_problems(2, 2, name="held"))


def config(tmp_path: Path, *suites: str, **sections: Any) -> RunConfig:
    tree = {"loop": {"eval_suites": suites}, "runs_dir": str(tmp_path), **sections}
    return RunConfig.model_validate(tree)


def test_a_suite_is_read_from_a_file_and_its_long_prompts_are_left_out(
    tmp_path: Path, tiny_model: Path
) -> None:
    short, long = synthetic_problems(3, 1, name="extra")[:2]
    long = long.model_copy(update={"question": "# each: flip negative; " * 60})
    write_problems(tmp_path / "extra.jsonl", [short, long])
    made = config(tmp_path, str(tmp_path / "extra.jsonl"), rollout={"max_model_len": 256})
    fitted = fit_prompts(made, DATA, tiny_model, load_eval_suites(made, DATA))
    assert fitted.suites["extra"].problems == [short]
    assert [row["problem_id"] for row in fitted.left_out()["suites"]["extra"]] == [long.id]
    refused = config(
        tmp_path, str(tmp_path / "extra.jsonl"), rollout={"max_model_len": 256},
        data={"too_long": "refuse"},
    )  # fmt: skip
    with pytest.raises(UnusableData, match=rf"extra: 1 problems .*{long.id}.*max_model_len"):
        fit_prompts(refused, DATA, tiny_model, load_eval_suites(refused, DATA))


def test_a_suite_that_is_trained_on_is_refused_by_name(tmp_path: Path) -> None:
    write_problems(tmp_path / "seen.jsonl", DATA.train[1:3])
    made = config(tmp_path, str(tmp_path / "seen.jsonl"))
    with pytest.raises(ConfigError, match=rf"seen asks 2 questions .*{DATA.train[1].id}.*split"):
        load_eval_suites(made, DATA)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("humanevil", r"loop.eval_suites humanevil: no such file, and no suite; known are"),
        ("heldout.jsonl", r"heldout is the name of the run's own held-out problems; rename"),
    ],
)
def test_an_unknown_suite_is_refused_by_name(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problems(tmp_path / "heldout.jsonl", synthetic_problems(3, 1))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        load_eval_suites(config(tmp_path, name), DATA)
