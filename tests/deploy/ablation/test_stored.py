"""Stored results: the same content is the same bytes, and what is no result is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.ablation.stored import read_folders, read_stored, write_stored
from deploy.errors import ConfigError
from tests.deploy.ablation.made_results import RATES, made_run


def test_a_result_comes_back_and_is_written_the_same_again(tmp_path: Path) -> None:
    run = made_run("no-fgo", 3, problems=150)
    path = write_stored(run, tmp_path)
    assert path.name == "no-fgo-3.json"
    written = path.read_bytes()
    assert len(written) < 30_000
    assert read_stored(path) == run
    assert write_stored(read_stored(path), tmp_path).read_bytes() == written
    assert list(json.loads(written))[:4] == ["version", "grid", "arm", "seed"]


def test_a_rerun_has_a_file_of_its_own(tmp_path: Path) -> None:
    write_stored(made_run(seed=2), tmp_path)
    write_stored(made_run(seed=2, rerun=1), tmp_path)
    assert [run.name for run in read_folders([tmp_path])] == ["full-2-rerun1", "full-2"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Invalid JSON"),
        ('{"arm": "full"}', "Field required"),
        ("[]", "not a stored result"),
    ],
)
def test_what_is_no_result_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "full-1.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"full-1\.json.*{reason}"):
        read_folders([tmp_path])


def test_a_result_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    record = made_run().model_dump(mode="json")
    record["series"]["learner/entropy"].pop()
    path = tmp_path / "full-1.json"
    path.write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="learner/entropy: not one figure"):
        read_stored(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent: no such folder"):
        read_folders([tmp_path / "absent"])


def test_rates_are_of_judged_samples() -> None:
    run = made_run(rates=dict.fromkeys(RATES, 1.0), problems=2)
    last = run.evaluations[-1].model_copy(
        update={
            "passed": {"introductory": [4, 2], "interview": [0, 3], "competition": [0, 0]},
            "judged": {"introductory": [4, 2], "competition": [4, 0]},
        }
    )
    run = run.model_copy(update={"evaluations": [*run.evaluations[:-1], last]})
    assert run.final("introductory") == 1.0
    assert run.final("interview") == 3 / 8
    assert run.final("overall") == 9 / (6 + 8 + 4)
    assert run.problem_rates("competition") == [0.0, None]
