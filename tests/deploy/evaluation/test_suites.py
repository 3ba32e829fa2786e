"""Suites are found by name or by file, and say what they hold."""

from __future__ import annotations

import gzip
import json
import os
from datetime import date
from pathlib import Path

import pytest

from curriculum import synthetic_problems
from curriculum.config import DataConfig
from curriculum.datasets.problem_file import write_problems
from curriculum.datasets.reading.format import ReadOptions
from curriculum.errors import UnusableData
from deploy.errors import ConfigError
from deploy.evaluation import mbpp_subsets
from deploy.evaluation.suites import DATA, load_suites, task_id
from tests.curriculum.datasets.published import GOOD

SYNTHETIC = DataConfig(heldout_per_tier=2)


def mbpp(number: int) -> dict[str, object]:
    return {
        "task_id": number,
        "text": f"Write a function to add {number} to a number.",
        "code": f"def add(a):\n    return a + {number}\n",
        "test_list": [f"assert add({a}) == {a + number}" for a in (0, 1, 2)],
    }


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data sets, as STEPCODER_DATA names it."""
    monkeypatch.setenv(DATA, str(tmp_path))
    (tmp_path / "mbpp").mkdir()
    rows = "".join(f"{json.dumps(mbpp(number))}\n" for number in (2, 10, 11, 510, 511))
    (tmp_path / "mbpp" / "mbpp.jsonl").write_text(rows)
    return tmp_path


def test_a_suite_is_found_by_its_name_and_holds_its_part_of_the_file(data: Path) -> None:
    whole, part = load_suites(["mbpp", "mbpp-test"], None, SYNTHETIC)
    assert [p.id for p in whole.problems] == [f"mbpp/{n}" for n in (2, 10, 11, 510, 511)]
    assert [p.id for p in part.problems] == ["mbpp/11", "mbpp/510"]
    assert whole.data["sha256"] == part.data["sha256"]
    assert whole.data["problems_sha256"] != part.data["problems_sha256"]
    assert [task_id(p) for p in part.problems] == ["Mbpp/11", "Mbpp/510"]


def test_the_subsets_of_mbpp_have_their_published_sizes() -> None:
    assert len(mbpp_subsets.TEST) == 500
    assert len(mbpp_subsets.EVALPLUS) == 378
    assert {2, 255, 809} < mbpp_subsets.EVALPLUS
    assert mbpp_subsets.EVALPLUS.isdisjoint({1, 83, 461, 783, 810})


def test_evalplus_problems_are_those_of_the_sanitized_file_where_it_lies_there(data: Path) -> None:
    [original] = load_suites(["mbpp-evalplus"], None, SYNTHETIC)
    sanitized = {name: value for name, value in mbpp(11).items() if name != "text"}
    rows = [{**sanitized, "prompt": "Better worded.", "test_imports": [], "source_file": "b.ipynb"}]
    (data / "mbpp" / "sanitized-mbpp.json").write_text(json.dumps(rows))
    [better] = load_suites(["mbpp-evalplus"], None, SYNTHETIC)
    assert [p.id for p in original.problems] == ["mbpp/2", "mbpp/11"]
    assert [(p.id, p.question) for p in better.problems] == [("mbpp/11", "Better worded.")]
    assert Path(better.data["path"]).name == "sanitized-mbpp.json"


def test_a_limit_takes_the_first_problems_of_each_suite(data: Path) -> None:
    suites = load_suites(["mbpp", "synthetic"], 2, SYNTHETIC)
    assert [len(suite.problems) for suite in suites] == [2, 2]
    assert [suite.data["limit"] for suite in suites] == [2, 2]
    assert suites[1].data["tiers_beyond_limit"] == ["interview", "competition"]


def test_a_file_is_a_suite_named_after_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.v2.jsonl.gz"
    write_problems(tmp_path / "mine.jsonl", synthetic_problems(seed=3, per_tier=1))
    path.write_bytes(gzip.compress((tmp_path / "mine.jsonl").read_bytes()))
    [suite] = load_suites([str(path)], None, SYNTHETIC)
    assert suite.name == "mine.v2"
    assert suite.data["format"] == "stepcoder"
    assert len(suite.digests) == len(suite.problems) == 3


def test_records_that_cannot_be_read_are_counted(data: Path) -> None:
    path = data / "mbpp" / "mbpp.jsonl"
    path.write_text(path.read_text() + json.dumps(mbpp(600) | {"test_list": []}) + "\n")
    [suite] = load_suites(["mbpp"], None, SYNTHETIC)
    [(field, (count, example))] = suite.data["left_out"].items()
    assert (field, count) == ("test_list", 1)
    assert "record 5" in example or "line 6" in example


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["humaneval"],
            r"humaneval: none of humaneval/HumanEval.jsonl.gz.* in .* \(STEPCODER_DATA",
        ),
        (["humaneval+"], r"humaneval\+: none of humanevalplus/humanevalplus.jsonl, "),
        (["livecodebench"], "put the files test.jsonl, test2.jsonl, ... of livecodebench/code_gen"),
        (["apps+"], r"apps\+: none of apps_plus/apps_plus.json, .* under the first of these names"),
        (["absent.jsonl"], "absent.jsonl: no such file, and no suite; known are "),
        (
            ["heldout"],
            "held-out problems of a run are the suite synthetic, or the file",
        ),
        (["mbpp", "mbpp"], "two suites are called mbpp"),
    ],
)
def test_a_suite_that_is_not_there_is_refused_with_the_remedy(
    data: Path, names: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_suites(names, None, SYNTHETIC)


def test_livecodebench_is_found_by_its_name_and_read_between_two_days(data: Path) -> None:
    folder = data / "livecodebench"
    folder.mkdir()
    for name, month in (("test.jsonl", 5), ("test2.jsonl", 9)):
        record = {"question_id": name, "contest_date": f"2024-0{month}-01T00:00:00"}
        (folder / name).write_text(json.dumps(GOOD["livecodebench"] | record) + "\n")
    [whole] = load_suites(["livecodebench"], None, SYNTHETIC)
    assert [p.id for p in whole.problems] == [
        f"livecodebench/{n}" for n in sorted(os.listdir(folder))
    ]
    window = ReadOptions(first_day=date(2024, 8, 1), last_day=date(2024, 9, 1))
    [late] = load_suites(["livecodebench"], None, SYNTHETIC, reading=window)
    assert [p.id for p in late.problems] == ["livecodebench/test2.jsonl"]
    assert late.data["chosen"] == {"from": "2024-08-01", "to": "2024-09-01"}
    [first] = load_suites(["livecodebench"], None, SYNTHETIC, reading=ReadOptions(release="v1"))
    assert [p.id for p in first.problems] == ["livecodebench/test.jsonl"]
    after = ReadOptions(first_day=date(2025, 1, 1))
    with pytest.raises(ConfigError, match="livecodebench: no problem in it from 2025-01-01"):
        load_suites(["livecodebench"], None, SYNTHETIC, reading=after)


def test_apps_plus_is_found_by_its_name(data: Path) -> None:
    (data / "apps_plus.json").write_text(json.dumps([GOOD["apps_plus"]]))
    [suite] = load_suites(["apps+"], None, SYNTHETIC)
    assert [p.id for p in suite.problems] == ["a"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("mbpp", UnusableData, "read as mbpp, which has no dates; livecodebench has"),
        ("synthetic", ConfigError, "--from: suite synthetic has no releases and no dates"),
    ],
)
def test_dates_are_refused_for_a_suite_without_them(
    data: Path, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_suites([name], None, SYNTHETIC, reading=ReadOptions(first_day=date(2024, 8, 1)))


def test_without_a_data_folder_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA, raising=False)
    with pytest.raises(ConfigError, match="STEPCODER_DATA is not set; set it to the folder"):
        load_suites(["mbpp"], None, SYNTHETIC)
