"""Files of published form that graders and loaders get wrong, each judged as its statement says."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from curriculum.datasets.problem_file import read_problems
from deploy.cli import main

CASES = Path(__file__).parent / "cases"

CONVERTED: dict[str, tuple[list[str], dict[str, int]]] = {
    "apps-hub.jsonl": (["apps/0"], {"input_output": 2, "solutions": 1}),
    "livecodebench.jsonl": (["livecodebench/abc1_a"], {}),
    "mbpp.parquet": (["mbpp/7"], {}),
    "humaneval-plus.jsonl": (["HumanEval/902"], {}),
    "mbpp-first-record-cut.jsonl": (["mbpp/2", "mbpp/3"], {"json": 1}),
    "mbpp-byte-order-mark.jsonl": (["mbpp/7"], {}),
    "own-byte-order-mark.jsonl": (["one"], {}),
    "mbpp-tuple.jsonl": (["mbpp/1", "mbpp/2", "mbpp/3"], {}),
    "leetcode-future-import.jsonl": (["leetcode/n"], {}),
    "leetcode-in-place.jsonl": (["leetcode/rev"], {}),
    "leetcode-linked-list.jsonl": (["leetcode/rl"], {}),
    "python2-solution.jsonl": (["a"], {}),
}
"""File to the ids of its problems, and the number of records left out by field."""

CAUSES: dict[str, dict[str, int]] = {
    "apps-hub.jsonl": {"passed": 1},
    "livecodebench.jsonl": {"no_solution": 1},
    "mbpp.parquet": {"passed": 1},
    "mbpp-first-record-cut.jsonl": {"passed": 2},
    "mbpp-byte-order-mark.jsonl": {"passed": 1},
    "own-byte-order-mark.jsonl": {"passed": 1},
    "mbpp-tuple.jsonl": {"failed": 3},
    "leetcode-future-import.jsonl": {"passed": 1},
    "leetcode-in-place.jsonl": {"passed": 1},
    "leetcode-linked-list.jsonl": {"passed": 1},
    "python2-solution.jsonl": {"compile_error": 1},
    "humaneval-plus.jsonl": {"missing_library": 1},
}
"""File to what its canonical solutions are found to be."""


def test_every_case_is_in_both_tables() -> None:
    files = {path.name for path in CASES.iterdir()}
    assert files == CONVERTED.keys() == CAUSES.keys()


@pytest.mark.parametrize("name", CONVERTED)
def test_a_published_file_is_converted_and_what_is_lost_is_counted(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    out = tmp_path / "out.jsonl"
    assert main(["data", "convert", str(CASES / name), "-o", str(out), "--skip-bad"]) == 0
    ids, left_out = CONVERTED[name]
    assert [problem.id for problem in read_problems(out)] == ids
    for field, number in left_out.items():
        assert f"left out {number} for {field}" in caplog.text
    assert caplog.text.count("left out") == len(left_out)


@pytest.mark.docker
@pytest.mark.parametrize("name", CAUSES)
def test_its_solutions_are_judged_as_the_data_set_says(name: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = ["data", "verify", str(CASES / name), "-o", str(tmp_path / "kept.jsonl")]
    status = main([*arguments, "--report", str(report), "--skip-bad", "--runs", "1"])
    causes = json.loads(report.read_text())["causes"]
    assert causes == CAUSES[name]
    assert status == (0 if "passed" in causes else 2)


@pytest.mark.docker
@pytest.mark.parametrize("index", [0, 1, 2])
def test_sandbox_run_and_verification_apply_one_rule(index: int, tmp_path: Path) -> None:
    lines = (CASES / "mbpp-tuple.jsonl").read_text().splitlines()
    record = json.loads(lines[index])
    program, tests = tmp_path / "program.py", tmp_path / "tests.json"
    program.write_bytes(b"\xef\xbb\xbf" + record["code"].encode())
    tests.write_bytes(b"\xef\xbb\xbf" + json.dumps({"test_list": record["test_list"]}).encode())
    assert main(["sandbox", "run", str(program), "--tests", str(tests)]) == 1
    fixed = {0: "return (x, x)", 1: "return xs[0]", 2: "return [[]]"}[index]
    program.write_text(record["code"].partition("return")[0] + fixed + "\n")
    assert main(["sandbox", "run", str(program), "--tests", str(tests)]) == 0


def test_a_python_2_solution_is_shown_and_said_in_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["data", "show", str(CASES / "python2-solution.jsonl"), "a"]) == 0
    assert "not Python 3, no cut points: Missing parentheses" in capsys.readouterr().out
