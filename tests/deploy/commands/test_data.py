"""`stepcoder data`: files are written whole and alike, and what cannot be read is named."""

from __future__ import annotations

import gzip
import json
import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curriculum.datasets.problem_file import read_problems
from curriculum.problem import TIERS, Problem
from deploy.cli import main
from deploy.commands.data.split import without_ending
from tests.curriculum.datasets.published import GOOD

ROOT = Path(__file__).resolve().parents[3]
RECORD = {
    "question": "Add one.",
    "solution": "def f(x):\n    return x + 1",
    "fn_name": "f",
    "inputs": [[1]],
    "outputs": [2],
    "difficulty": "interview",
}


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


def test_convert_keeps_the_problems_of_some_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that MBPP's published splits, which are numbers, can be told apart."""
    mbpp = source(
        tmp_path,
        *(
            {"task_id": number, "text": f"Add {number}.", "code": "def f(a): return a",
             "test_list": ["assert f(1) == 1"]}
            for number in (9, 10, 600, 601, 974)
        ),
    )  # fmt: skip
    train = tmp_path / "train.jsonl"
    convert = ["data", "convert", str(mbpp), "-o", str(train), "--numbers"]
    assert main([*convert, "1-9,601-974"]) == 0
    assert [p.id for p in read_problems(train)] == ["mbpp/9", "mbpp/601", "mbpp/974"]
    assert main([*convert, "9-601", "--without", str(train)]) == 0
    assert [p.id for p in read_problems(train)] == ["mbpp/10", "mbpp/600"]
    assert "asks too: mbpp/9, mbpp/601" in capsys.readouterr().err
    assert main([*convert, "601-b"]) == 2
    assert "write it as 1-10,12" in capsys.readouterr().err


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


def test_the_template_has_each_kind_of_problem_and_is_never_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "template.jsonl"
    assert main(["data", "template", "-o", str(path)]) == 0
    problems = read_problems(path)
    assert {p.comparison for p in problems} == {"close", "exact", "unordered"}
    assert any(p.fn_name is None for p in problems)
    assert any(p.checker for p in problems)
    assert any(p.result_argument is not None for p in problems)
    assert any(p.assertions for p in problems)
    assert any(p.preamble for p in problems)
    assert any(test.kwargs for p in problems for test in p.tests)
    documented = (ROOT / "docs" / "data.md").read_text()
    for record in map(json.loads, path.read_text().splitlines()):
        if record["id"] not in ("method",):
            assert f'"id": "{record["id"]}"' in documented
    before = path.read_bytes()
    assert main(["data", "template", "-o", str(path)]) == 2
    assert "exists; name another file" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_the_documented_examples_are_problems(tmp_path: Path) -> None:
    [block] = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "data.md").read_text(), re.DOTALL)
    path = tmp_path / "documented.jsonl"
    path.write_text(block)
    assert len(read_problems(path)) == 8


@pytest.mark.docker
def test_every_problem_of_the_template_passes_its_tests(tmp_path: Path) -> None:
    path, kept = tmp_path / "template.jsonl", tmp_path / "kept.jsonl"
    assert main(["data", "template", "-o", str(path)]) == 0
    assert main(["data", "verify", str(path), "-o", str(kept), "--runs", "1"]) == 0
    assert len(read_problems(kept)) == len(read_problems(path))


def split(path: Path, *options: str) -> tuple[list[Problem], list[Problem]]:
    assert main(["data", "split", str(path), *options]) == 0
    stem = path.with_name(path.name.partition(".")[0])
    train, heldout = (stem.with_name(f"{stem.name}.{part}.jsonl") for part in ("train", "heldout"))
    return read_problems(train), read_problems(heldout)


def test_split_holds_out_a_share_of_each_tier_and_the_seed_decides(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    assert main(["data", "synth", "-o", str(path), "--per-tier", "20"]) == 0
    train, heldout = split(path, "--heldout", "0.1", "--by", "tier")
    assert Counter(p.difficulty for p in heldout) == dict.fromkeys(TIERS, 2)
    assert sorted(p.id for p in train + heldout) == sorted(p.id for p in read_problems(path))
    assert split(path, "--heldout", "0.1", "--overwrite") == (train, heldout)
    assert split(path, "--heldout", "0.1", "--seed", "1", "--overwrite")[1] != heldout


def test_a_split_replaces_a_file_only_where_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = source(tmp_path, RECORD, RECORD | {"id": "p2", "question": "another"})
    kept = tmp_path / "source.heldout.jsonl"
    kept.write_text("a person's own\n")
    assert main(["data", "split", str(path), "--heldout", "0.5"]) == 2
    assert f"{kept}: exists; replace it with --overwrite" in capsys.readouterr().err
    assert kept.read_text() == "a person's own\n"
    assert not (tmp_path / "source.train.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("he.10.kept.jsonl", "he.10.kept"),
        ("he.10.jsonl.gz", "he.10"),
        ("v1.5.json", "v1.5"),
        ("he.10", "he.10"),
    ],
)
def test_only_the_ending_is_left_out_of_the_name_of_a_data_file(name: str, stem: str) -> None:
    assert without_ending(name) == stem


def test_the_files_of_a_split_keep_the_dots_of_their_source_s_name(tmp_path: Path) -> None:
    records = [RECORD | {"id": f"p{n}", "question": f"{n}"} for n in (1, 2)]
    path = source(tmp_path, *records).rename(tmp_path / "he.10.kept.jsonl")
    assert main(["data", "split", str(path), "--heldout", "0.5"]) == 0
    names = [f"he.10.kept.{part}jsonl" for part in ("", "heldout.", "train.")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_problems_with_one_question_are_split_together(tmp_path: Path) -> None:
    records = [RECORD | {"id": f"p{n}", "question": f"q{n // 2}"} for n in range(20)]
    train, heldout = split(source(tmp_path, *records), "--heldout", "0.3", "--by", "nothing")
    assert len(heldout) == 6
    assert not {p.question for p in train} & {p.question for p in heldout}


@pytest.mark.parametrize("heldout", ["0", "1", "0.9"])
def test_a_split_that_leaves_a_file_empty_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], heldout: str
) -> None:
    path = source(tmp_path, RECORD)
    assert main(["data", "split", str(path), "--heldout", heldout]) == 2
    assert "stepcoder: " in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["source.jsonl"]


def test_a_split_of_one_question_says_that_it_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = source(tmp_path, RECORD, RECORD | {"id": "p2"})
    assert main(["data", "split", str(path), "--heldout", "0.5"]) == 2
    assert "2 problems with 1 different questions cannot be divided" in capsys.readouterr().err


def test_a_map_and_levels_read_any_records(tmp_path: Path) -> None:
    record = {
        "prompt": {"text": "Add one."}, "solution": RECORD["solution"], "level": "EASY",
        "checks": ["assert f(1) == 2"],
    }  # fmt: skip
    path, out = source(tmp_path, record), tmp_path / "out.jsonl"
    options = ["--map", "question=prompt.text", "tests=checks", "--tiers", "EASY=competition"]
    assert main(["data", "convert", str(path), "-o", str(out), *options]) == 0
    [problem] = read_problems(out)
    assert (problem.question, problem.fn_name) == ("Add one.", "f")
    assert problem.difficulty == "competition"


OTHER = {"nr": 1, "prompt": {"text": "Add one."}, "answer": RECORD["solution"], "checks": ["x"]}


@pytest.mark.parametrize(
    ("record", "options", "message"),
    [
        (OTHER, ["question=prompt.text", "tests=checks"], "hold solution: --map solution=KEY, or"),
        (
            OTHER,
            ["question=prompt.txt", "tests=checks"],
            "--map question=prompt.txt: leads nowhere; the keys are ['nr', 'prompt', 'answer', ",
        ),
        (
            {"version": 1, "items": [OTHER]},
            ["question=prompt.text"],
            "the records seem to stand in 'items'",
        ),
    ],
    ids=["field missing", "path to nowhere", "list within an object"],
)
def test_an_incomplete_map_is_answered_with_what_it_lacks(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record: dict[str, Any],
    options: list[str],
    message: str,
) -> None:
    path = source(tmp_path, record)
    command = ["data", "convert", str(path), "-o", str(tmp_path / "out.jsonl")]
    assert main([*command, "--map", *options]) == 2
    assert message in capsys.readouterr().err


def test_what_a_map_reads_and_does_not_read_is_said_with_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = OTHER | {"checks": ["assert f(1) == 2"]}
    others = [{"note": "x"}, {"prompt": {"text": "Add one.", "lang": "en"}, "nr": None}]
    path = source(tmp_path, record, *(record | other for other in others))
    options = ["question=prompt.text", "tests=checks", "solution=answer"]
    command = ["data", "convert", str(path), "-o", str(tmp_path / "out.jsonl")]
    assert main([*command, "--map", *options]) == 0
    told = capsys.readouterr().err
    assert "question from 'prompt.text', solution from 'answer', tests from 'checks'\n" in told
    assert (
        "keys not read: 'nr' (2 of 3 records), 'note' (1 of 3 records), "
        "'prompt.lang' (1 of 3 records)\n"
    ) in told


def test_a_table_is_answered_with_what_a_data_set_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("id,question,solution,tests\n1,Add,x,y\n")
    assert main(["data", "stats", str(table)]) == 2
    assert "mine.csv: not JSON (line 1: Expecting value, column 1); a data set is JSONL or" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "question"], "--map: 'question' is not of the form NAME=VALUE"),
        (["--map", "questoin=id"], "no form has a field 'questoin'; did you mean question?"),
        (["--tiers", "EASY=simple"], "--tiers: 'simple' is none of introductory"),
        (["--from", "August"], "--from: 'August' is no date; write it as 2024-08-31"),
        (["--to", "2024-08-01"], "read as apps_plus, which has no dates; livecodebench has"),
        (["--release", "v1"], "read as apps_plus, which has no release; livecodebench has"),
    ],
)
def test_options_about_the_form_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["data", "stats", str(source(tmp_path, RECORD)), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_python_2_solution_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = source(tmp_path, RECORD | {"id": "a", "solution": "print 1"})
    assert main(["data", "show", str(path), "a"]) == 0
    assert "not Python 3, no cut points: Missing parentheses" in capsys.readouterr().out
    assert main(["data", "convert", str(path), "-o", str(tmp_path / "out.jsonl")]) == 0
    assert "1 solutions are not Python 3" in capsys.readouterr().err


def test_what_is_special_about_the_problems_is_said_at_conversion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "lcb.jsonl"
    path.write_text(json.dumps(GOOD["livecodebench"]) + "\n")
    assert main(["data", "convert", str(path), "-o", str(tmp_path / "out.jsonl")]) == 0
    assert "1 problems have no solution" in caplog.text
    path.write_text(json.dumps(GOOD["kodcode"]) + "\n")
    assert main(["data", "convert", str(path), "-o", str(tmp_path / "out.jsonl")]) == 0
    assert "1 problems have tests that are code" in caplog.text
    assert "converting ..." in caplog.messages
