"""Comparing two evaluations: paired by problem, on the same data only."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from actors.evaluation.figures import ProblemCounts, suite_figures
from deploy.errors import ConfigError
from deploy.evaluation.comparison import compare, compare_suite, compare_tiers, suites_of_one
from deploy.evaluation.folder import EvaluationFolder
from deploy.report.evaluation_table import print_comparison


def evaluation(
    root: Path, passed: dict[str, int], samples: int = 1, suite: str = "s", digest: str = "d"
) -> EvaluationFolder:
    folder = EvaluationFolder(root)
    root.mkdir()
    counts = [
        ProblemCounts(name, "interview", digest, samples, number, samples)
        for name, number in passed.items()
    ]
    folder.write_problems({suite: counts})
    figures = suite_figures(counts, [], [], [1])
    folder.result.write_text(json.dumps({"suites": {suite: figures}}))
    return folder


def test_problems_are_paired(tmp_path: Path) -> None:
    a = evaluation(tmp_path / "a", {"p0": 1, "p1": 0, "p2": 0, "p3": 1, "only-a": 1})
    b = evaluation(tmp_path / "b", {"p3": 0, "p2": 1, "p1": 1, "p0": 1, "b0": 0, "b1": 0})
    [row] = compare(a, b)
    assert (row.won, row.lost, row.unpaired) == (("p1", "p2"), ("p3",), 3)
    assert (row.a.estimate, row.b.estimate, row.difference.estimate) == (0.5, 0.75, 0.25)
    assert row.difference.low < 0.25 < row.difference.high
    text = io.StringIO()
    print_comparison([row], a.root, b.root, Console(file=text, width=120))
    assert "+25.0" in text.getvalue()
    assert "won: p1, p2" in text.getvalue()
    assert "3 problems are in one of them only" in text.getvalue()


def test_what_the_sandbox_could_not_judge_is_said_beside_the_difference(tmp_path: Path) -> None:
    counts = [ProblemCounts(f"p{n}", "interview", "d", 2, passed=0, judged=0) for n in range(3)]
    judged = [replace(row, passed=2, judged=2) for row in counts]
    row = compare_suite("own[/v2]", 1, judged, counts)
    assert (row.unjudged, row.difference.estimate) == ((0, 6), -1.0)
    text = io.StringIO()
    print_comparison([row], tmp_path, tmp_path, Console(file=text, width=120))
    assert (
        "own[/v2]: the sandbox could not judge 6 samples of B, which count as not passed"
        in text.getvalue()
    )


def test_tiers_are_compared_by_themselves_and_a_suite_of_one_of_them_is_named(
    tmp_path: Path,
) -> None:
    hard = [ProblemCounts(f"h{n}", "competition", "d", 2, passed=0, judged=2) for n in range(4)]
    easy = [ProblemCounts(f"e{n}", "introductory", "d", 2, passed=2, judged=2) for n in range(4)]
    better = [replace(row, passed=1) for row in hard]
    tiers = compare_tiers("s", 1, [*hard, *easy], [*easy, *better, replace(easy[0], problem="b")])
    assert [(row.tier, row.difference.estimate, row.unpaired) for row in tiers] == [
        ("introductory", 0.0, 0),
        ("competition", 0.5, 0),
    ]
    assert tiers[1].difference.problems == len(tiers[1].won) == 4
    assert compare_tiers("s", 1, hard, better) == []
    a, b = (evaluation(tmp_path / name, {"p": 1}, suite=name) for name in "ab")
    alone = suites_of_one(a, b)
    assert alone == {"A": ["a"], "B": ["b"]}
    whole = compare_suite("s", 1, [*hard, *easy], [*easy, *better])
    text = io.StringIO()
    print_comparison([whole, *tiers], a.root, b.root, Console(file=text, width=120), alone)
    assert "│   competition  │   @1 │" in text.getvalue()
    assert "not compared: a, in A only" in text.getvalue()
    assert text.getvalue().count("s: won: h0, h1, h2, h3") == 1


def test_counts_that_cannot_be_are_refused(tmp_path: Path) -> None:
    few = [ProblemCounts("p0", "interview", "d", 1, 1, 1)]
    with pytest.raises(ConfigError, match=r"s: pass@2 needs at least 2 samples .* p0 has 1"):
        compare_suite("s", 2, few, few)
    folder = evaluation(tmp_path / "a", {"p0": 1})
    folder.problems.write_text(folder.problems.read_text().replace('"passed": 1', '"passed": 3'))
    with pytest.raises(ConfigError, match="p0: 3 passed of 1 judged of 1 samples"):
        compare(folder, folder)


def test_pairing_shows_a_difference_that_two_separate_intervals_hide(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(200)]
    a = evaluation(tmp_path / "a", {name: int(i < 100) for i, name in enumerate(names)})
    b = evaluation(tmp_path / "b", {name: int(i < 110) for i, name in enumerate(names)})
    [row] = compare(a, b)
    assert row.b.low < row.a.high
    assert row.difference.low > 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"digest": "other"}, "1 problems have the same id and another content, such as p0"),
        ({"suite": "t"}, "there is no suite in both"),
        ({"passed": {"q0": 1}}, "no problem is in both"),
    ],
)
def test_what_cannot_be_paired_is_refused(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    a = evaluation(tmp_path / "a", {"p0": 1})
    b = evaluation(tmp_path / "b", **{"passed": {"p0": 1}, **fields})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        compare(a, b)


@pytest.mark.parametrize(("times", "counted"), [(2, "4 lines with 2"), (0, "0 lines with 0")])
def test_counts_that_are_not_the_results_are_refused(
    tmp_path: Path, times: int, counted: str
) -> None:
    a, b = (evaluation(tmp_path / name, {"p0": 1, "p1": 0}) for name in ("a", "b"))
    b.problems.write_text(times * b.problems.read_text())
    with pytest.raises(ConfigError, match=rf"{counted} problems of s, of which result.json has 2"):
        compare(a, b)


def test_an_evaluation_that_has_not_finished_is_refused(tmp_path: Path) -> None:
    finished = evaluation(tmp_path / "a", {"p0": 1})
    with pytest.raises(ConfigError, match="absent: no such folder"):
        compare(finished, EvaluationFolder(tmp_path / "absent"))
    run = EvaluationFolder(tmp_path / "run")
    run.root.mkdir()
    with pytest.raises(ConfigError, match=r"not the folder of an evaluation .*`stepcoder compare`"):
        compare(finished, run)
    run.samples.touch()
    with pytest.raises(ConfigError, match="no finished evaluation there"):
        compare(finished, run)
