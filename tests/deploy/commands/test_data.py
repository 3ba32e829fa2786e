"""`stepcoder data`: files written whole and alike, tables that say what is there."""

from __future__ import annotations

import gzip
import io
import json
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
RECORD = {
    "question": "Add one.",
    "solution": "def f(x):\n    return x + 1",
    "fn_name": "f",
    "inputs": [[1]],
    "outputs": [2],
    "difficulty": "interview",
}


@pytest.fixture
def synth(tmp_path: Path) -> Path:
    path = tmp_path / "synth.jsonl"
    assert main(["data", "synth", "-o", str(path), "--per-tier", "2", "--seed", "5"]) == 0
    return path


def source(tmp_path: Path, *records: object) -> Path:
    path = tmp_path / "source.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_synth_and_convert_are_reproducible_to_the_byte(synth: Path, tmp_path: Path) -> None:
    first = synth.read_bytes()
    assert len(read_problems(synth)) == 6
    assert main(["data", "synth", "-o", str(synth), "--per-tier", "2", "--seed", "5"]) == 0
    assert synth.read_bytes() == first
    copy = tmp_path / "copy.jsonl"
    assert main(["data", "convert", str(synth), "-o", str(copy)]) == 0
    assert copy.read_bytes() == first


def test_convert_filters_tiers_and_may_write_over_its_source(synth: Path) -> None:
    arguments = [
        "data",
        "convert",
        str(synth),
        "-o",
        str(synth),
        "--tiers",
        "interview,competition",
    ]
    assert main(arguments) == 0
    assert {p.difficulty for p in read_problems(synth)} == {"interview", "competition"}


def test_a_bad_record_ends_convert_with_its_name_and_leaves_the_old_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = source(tmp_path, RECORD, RECORD | {"outputs": []})
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    assert main(["data", "convert", str(path), "-o", str(out)]) == 2
    printed = capsys.readouterr().err
    assert "source.jsonl: line 2: outputs: 0 outputs for 1 inputs" in printed
    assert "--skip-bad" in printed
    assert out.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.jsonl", "source.jsonl"]


def test_skip_bad_is_no_remedy_for_a_damaged_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.jsonl.gz"
    lines = "".join(json.dumps(RECORD | {"id": f"p{i}"}) + "\n" for i in range(500))
    path.write_bytes(gzip.compress(lines.encode())[:-20])
    assert main(["data", "stats", str(path)]) == 2
    printed = capsys.readouterr().err
    assert "cut.jsonl.gz: line " in printed
    assert "damaged or cut short" in printed
    assert "--skip-bad" not in printed


def test_skip_bad_counts_by_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = RECORD | {"outputs": []}
    path = source(tmp_path, RECORD, bad, bad, RECORD | {"difficulty": "x"})
    out = tmp_path / "out.jsonl"
    assert main(["data", "convert", str(path), "-o", str(out), "--skip-bad"]) == 0
    assert len(read_problems(out)) == 1
    printed = capsys.readouterr().err
    assert "left out 2 for outputs, such as" in printed
    assert "left out 1 for difficulty" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "{src}", "-o", "{out}", "--tiers", "easy"], "'easy' is none of introductory"),
        (["convert", "{src}", "-o", "{out}", "--split", "test"], "which has no split; apps has"),
        (["convert", "{src}", "-o", "{out}", "--tiers", "competition"], "no problem is left"),
        (["convert", "{src}.absent", "-o", "{out}"], "No such file"),
        (["convert", "{src}", "-o", "{out}/o"], "out.jsonl: no such folder; create it first"),
        (["synth", "-o", "{out}/o"], "out.jsonl: no such folder; create it first"),
        (["verify", "{src}", "-o", "{out}/o"], "out.jsonl: no such folder; create it first"),
        (["verify", "{src}", "-o", "{out}", "--report", "{out}/o"], "no such folder; create it"),
        (["stats", "{src}.absent", "--plot", "{out}/o.png"], "no such folder; create it first"),
        (["stats", "{src}.absent", "--plot", "o.gif"], "--plot: o.gif must end in one of .png"),
        (["stats", "{folder}"], "is a folder; expected a file, a folder of APPS with"),
        (["show", "{src}", "p9"], "no problem 'p9'"),
        (["stats", "{src}", "--kinds", "if,def"], "'def' is none of if, for"),
        (["stats", "{src}", "--rollout.x", "1"], "Unknown option: --rollout.x"),
        (["synth", "-o", "{out}", "--per-tier", "0"], "0 problems cannot be made"),
    ],
)
def test_wrong_arguments_end_in_one_message_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    out = tmp_path / "out.jsonl"
    (tmp_path / "empty").mkdir()
    places = {"src": source(tmp_path, RECORD), "out": out, "folder": tmp_path / "empty"}
    assert main(["data", *(word.format(**places) for word in arguments)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


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
    assert "1 solutions do not parse" in printed.getvalue()


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
