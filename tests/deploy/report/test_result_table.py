"""The table a run ends with says what result.json says."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from deploy.cli import main
from deploy.report.result_table import print_result

EVALUATION = {
    "pass_at_1": {"overall": 0.25, "introductory": 0.5, "competition": 0.0},
    "outcomes": {"passed": 0.25, "failed": 0.75, "timeout": 0.0},
    "problems": 20,
    "samples": 80,
    "unjudged": 0,
    "seconds": 4.0,
}
AFTER = {**EVALUATION, "pass_at_1": {"overall": 0.5, "introductory": 0.75, "competition": 0.25}}
RESULT = {
    "steps": 10,
    "isolation": "docker",
    "eval": {"before": EVALUATION, "after": AFTER},
    "weights": {"broadcasts": 11, "parity_checks": 2, "max_logprob_diff": 2e-6},
    "samples": {"asked": 100, "trained": 99, "dropped": 1},
    "seconds": {"total": 200.0, "warm_start": 100.0, "start": 10.0, "learn": 50.0, "rollout": 20.0},
}


def test_the_table_shows_intervals_where_they_are_recorded() -> None:
    page = io.StringIO()
    intervals = {"overall": [0.4, 0.61], "introductory": [0.5, 1.0]}
    evaluations = {"before": EVALUATION, "after": {**AFTER, "intervals": intervals}}
    result = {**RESULT, "eval": evaluations, "gain_interval": [-0.01, 0.51]}
    print_result(result, Path("runs/x"), Console(file=page, width=100))
    assert " 0.500 [0.400, 0.610] │ +0.250 [-0.010, +0.510] │" in page.getvalue()


def test_the_table_shows_tiers_outcomes_and_stages() -> None:
    page = io.StringIO()
    print_result(RESULT, Path("runs/x"), Console(file=page, width=100))
    lines = page.getvalue().splitlines()
    rows = {line.split("│")[1].strip(): line for line in lines if line.startswith("│")}
    assert [part.strip() for part in rows["introductory"].split("│")[2:5]] == [
        "0.500",
        "0.750",
        "+0.250",
    ]
    assert "+0.250" in rows["overall"]
    assert "interview" not in rows, "a tier that was not asked has no row"
    assert "timeout" not in rows, "an outcome that never occurred has no row"
    assert [part.strip() for part in rows["masked PPO (DeepSpeed)"].split("│")[2:5]] == [
        "5.00",
        "50",
        "25%",
    ]
    assert "99 trained, 1 dropped" in page.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{garbage", "not JSON"),
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "its values are not those of a result"),
        (b"{}", "no 'eval' in it"),
        (json.dumps({**RESULT, "seconds": {"total": 0}}).encode(), "no 'warm_start' in it"),
        (json.dumps({**RESULT, "weights": None}).encode(), "its values are not"),
        (json.dumps({**RESULT, "steps": "ten"}).encode(), "its values are not"),
    ],
)
def test_what_is_no_result_is_refused_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    (tmp_path / "result.json").write_bytes(content)
    assert main(["result", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert f"result.json: not the result of a run ({reason}" in printed.err
    assert printed.err.endswith("; run it again with --overwrite\n")
    assert not printed.out


def test_a_finished_run_can_be_printed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["result", str(tmp_path)]) == 2
    assert "no finished run there" in capsys.readouterr().err
    (tmp_path / "result.json").write_text(json.dumps(RESULT))
    assert main(["result", str(tmp_path)]) == 0
    assert "overall" in capsys.readouterr().out
