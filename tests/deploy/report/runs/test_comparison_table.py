"""Two runs side by side: what differs, evaluations paired by problem, training, totals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.cli import main
from deploy.report.runs.comparison_table import compare_evaluations
from deploy.report.runs.history import RunHistory
from tests.deploy.report.runs.made_runs import write_run


def printed(capsys: pytest.CaptureFixture[str], *runs: Path) -> str:
    assert main(["compare", *map(str, runs)]) == 0
    return capsys.readouterr().out


def row(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"│ {name}"))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_two_runs_are_printed_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = write_run(tmp_path / "fgo", steps=20)
    b = write_run(tmp_path / "none", steps=10, finished=False, learner={"mask": "none"})
    text = printed(capsys, a, b)
    assert row(text, "learner.mask") == ["learner.mask", "fgo", "none"]
    assert row(text, "heldout")[1] == "20 / 10"
    assert "means of steps 6 to 10" in text
    curves = row(text, "pass rate")
    assert len(curves[2]) == len(curves[4]) == 10
    assert row(text, "steps") == ["steps", "20 of 20", "10 of 20"]
    assert row(text, "restarts") == ["restarts", "1 rollout", "1 rollout"]
    assert max(map(len, text.splitlines())) <= 100


def test_evaluations_are_paired_by_problem(tmp_path: Path) -> None:
    runs = [
        RunHistory.read(write_run(tmp_path / mask, steps=10, seed=seed, learner={"mask": mask}))
        for seed, mask in ((1, "fgo"), (2, "none"))
    ]
    [pair] = compare_evaluations(*runs)
    assert pair.comparison is not None
    counts = [run.problems[-1]["problems"] for run in runs]
    gaps = [counts[1][key]["passed"] - counts[0][key]["passed"] for key in counts[0]]
    assert pair.comparison.difference.estimate == pytest.approx(sum(gaps) / 4 / len(gaps))
    assert len(pair.comparison.won) == sum(gap > 0 for gap in gaps)
    assert pair.comparison.difference.low < pair.comparison.difference.estimate


def test_other_problems_of_the_same_name_are_not_paired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (write_run(tmp_path / name, steps=10) for name in "ab")
    for run, digest in ((a, "d"), (b, "other")):
        rows = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
        problems = rows[-1]["problems"]
        problems["held[/0]"] = {**problems.pop("held/0"), "digest": digest}
        (run / "evaluations.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    text = printed(capsys, a, b)
    assert "not compared: heldout: 1 problems have the same id" in text
    assert "held[/0]" in text
