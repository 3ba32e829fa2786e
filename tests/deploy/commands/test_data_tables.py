"""`stepcoder data stats` and `show`: tables, plots and listings that say what is there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from curriculum.datasets.problem_file import read_problems
from curriculum.datasets.statistics import count
from curriculum.problem import TIERS, Problem, Test
from curriculum.start_points import START_POINT_KINDS
from deploy.cli import main
from deploy.report.data_plot import COLOURS
from deploy.report.data_tables import histogram, print_statistics, solution_with_cuts

KINDS = frozenset(START_POINT_KINDS)


def test_stats_count_every_problem_by_tier(synth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = count(read_problems(synth), KINDS)
    assert [found.problems for found in counts.values()] == [2, 2, 2, 6]
    assert main(["data", "stats", str(synth)]) == 0
    printed = capsys.readouterr().out
    for word in ("introductory", "interview", "competition", "start points   problems"):
        assert word in printed


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_plot_shows_every_tier_and_is_reproducible(
    synth: Path, tmp_path: Path, ending: str
) -> None:
    pictures = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for picture in pictures:
        assert main(["data", "stats", str(synth), "--plot", str(picture)]) == 0
    drawn_twice = {picture.read_bytes() for picture in pictures}
    assert len(drawn_twice) == 1
    [content] = drawn_twice
    assert len(content) > 10_000
    if ending == "svg":
        assert all(colour.encode() in content for colour in COLOURS.values())
        assert list(COLOURS) == list(TIERS)


def test_a_plot_of_an_unknown_format_is_refused(synth: Path, tmp_path: Path) -> None:
    assert main(["data", "stats", str(synth), "--plot", str(tmp_path / "a.txt")]) == 2


def test_the_histogram_has_a_row_per_number_and_one_for_the_tail() -> None:
    lines = histogram({0: 80, 2: 1, 16: 3, 40: 1})
    assert [line.split() for line in lines[1:4]] == [
        ["0", "#" * 40, "80"],
        ["1", "0"],
        ["2", "#", "1"],
    ]
    assert lines[-1].split() == ["16+", "##", "4"]
    assert len(lines) == 18


def test_statistics_of_an_empty_set_and_of_unparsable_solutions_are_printed() -> None:
    problem = Problem(
        id="p",
        question="",
        solution="print 1",
        tests=(Test(input="", output="1"),),
        difficulty="interview",
        source="test",
    )
    printed = io.StringIO()
    for problems in ([], [problem]):
        print_statistics(count(problems, KINDS), Path("x"), Console(width=100, file=printed))
    assert "1 solutions are not Python 3" in printed.getvalue()


def test_the_cut_points_are_drawn_where_the_stages_cut() -> None:
    body = "".join(f"    if x > {i}:\n        x -= 1\n" for i in range(5))
    problem = Problem(
        id="p",
        question="",
        starter_code="def f(x):",
        solution=f"def f(x):\n{body}    return x\n",
        fn_name="f",
        tests=(Test(input=[0], output=0),),
        difficulty="interview",
        source="test",
    )
    lines = solution_with_cuts(problem, KINDS)
    assert "\n".join(line for line in lines if "8<" not in line) == problem.solution[:-1]
    marks = [line.removeprefix("-----8<----- ") for line in lines if "8<" in line]
    assert marks == [
        "full task; start point 0, stage 0 of 3",
        "start point 1",
        "start point 2, stage 1 of 3",
        "start point 3",
        "start point 4, stage 2 of 3",
    ]
    assert lines[0] == "def f(x):"


def test_show_prints_question_solution_and_tests(
    synth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = read_problems(synth)[-1]
    assert main(["data", "show", str(synth), problem.id]) == 0
    printed = capsys.readouterr().out
    assert problem.question in printed
    assert "stage 0 of" in printed
    assert f"... and {len(problem.tests) - 3} more" in printed
