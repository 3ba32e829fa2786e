"""Samples in EvalPlus' form, and in our own, are read for the problems of the suites."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from actors.evaluation.records import GeneratedSample, SampleKey
from actors.evaluation.sample_log import SampleLog
from curriculum.config import AnswerConfig
from curriculum.errors import BadRecord
from curriculum.problem import Problem, Test
from deploy.errors import ConfigError
from deploy.evaluation.sample_file import read_samples
from deploy.evaluation.suites import Suite


def problem(number: int, **fields: Any) -> Problem:
    return Problem(
        id=f"mbpp/{number}",
        question="q",
        solution="def f(x):\n    return x\n",
        fn_name="f",
        tests=(Test(input=[1], output=1),),
        **fields,
    )


PROBLEMS = (
    problem(2, preamble="import math\n"),
    problem(3, starter_code="def f(x):\n"),
)
SUITE = Suite("mbpp", PROBLEMS, {p.id: "d" for p in PROBLEMS}, {})


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_evalplus_samples_are_numbered_by_problem_and_run_behind_the_preamble(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path / "s.jsonl",
        {"task_id": "Mbpp/2", "solution": "a = 1\n"},
        {"task_id": "Mbpp/3", "completion": "    return x\n"},
        {"task_id": "mbpp/2", "solution": "import math\nb = 1\n", "_identifier": "x"},
    )
    samples = read_samples(path, [SUITE])
    assert [(s.task_id, s.key.number, s.solution) for s in samples] == [
        ("Mbpp/2", 0, "import math\na = 1\n"),
        ("Mbpp/3", 0, "def f(x):\n    return x\n"),
        ("Mbpp/2", 1, "import math\nb = 1\n"),
    ]


def test_the_program_of_a_completion_is_found_as_in_an_answer(tmp_path: Path) -> None:
    whole = "So:\n```python\ndef f(x):\n    return x\n```\n"
    first = "```\na = 1\n```\n```\ndef f(x):\n    return 2\n```\n"
    path = write(
        tmp_path / "s.jsonl",
        {"task_id": "Mbpp/2", "completion": whole},
        {"task_id": "Mbpp/3", "completion": whole},
        {"task_id": "Mbpp/3", "completion": f"{whole}{first}"},
    )
    in_block, anew, last = read_samples(path, [SUITE])
    assert in_block.solution == "import math\ndef f(x):\n    return x\n"
    assert anew.solution == "def f(x):\n    return x\n"
    assert last.solution == "def f(x):\n    return 2\n"
    assert (anew.completion, anew.program_bytes) == (whole, (14, 37))
    assert anew.cuts == ((0, 4, "prose"), (4, 14, "fence"), (37, 41, "fence"))
    first_block = read_samples(path, [SUITE], answer=AnswerConfig(block="first"))[2]
    assert first_block.solution == "def f(x):\n    return x\n"


def test_our_own_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = write(
        tmp_path / "s.jsonl",
        {"task_id": "Mbpp/2", "solution": "a = 1\n"},
        {"task_id": "Mbpp/3", "solution": "b = 1\n"},
    )
    (tmp_path / "log").mkdir()
    log = SampleLog(tmp_path / "log")
    for sample in read_samples(path, [SUITE]):
        log.add_sample(sample)
    again = read_samples(log.samples_path, [SUITE])
    assert [s.solution for s in again] == [s.solution for s in log.samples.values()]


def test_of_our_own_samples_the_completion_is_kept(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    for number in (2, 3):
        log.add_sample(
            GeneratedSample(SampleKey("mbpp", f"mbpp/{number}", 0), f"Mbpp/{number}", "a = 1\n",
                            "```\na = 1\n```", (4, 10), "length", 7, 3, ((0, 4, "fence"),), 0.5)
        )  # fmt: skip
    assert read_samples(log.samples_path, [SUITE]) == list(log.samples.values())
    rows = [json.loads(line) | {"solution": "b = 2\n"} for line in log.samples_path.open()]
    edited = read_samples(write(tmp_path / "edited.jsonl", *rows), [SUITE])
    assert [(s.solution, s.program_bytes, s.cuts) for s in edited] == [("b = 2\n", None, ())] * 2


def test_further_fields_of_other_tools_are_no_fields_of_ours(tmp_path: Path) -> None:
    further = {"completion": ["a"], "sample": 3, "prompt_tokens": "7", "suite": 1, "cuts": None}
    rows = [{"task_id": f"Mbpp/{n}", "solution": "a = 1\n", **further} for n in (2, 3)]
    first, second = read_samples(write(tmp_path / "s.jsonl", *rows), [SUITE])
    assert (first.solution, second.solution) == ("import math\na = 1\n", "a = 1\n")
    assert (first.completion, first.prompt_tokens, first.cuts) == (None, 0, ())


def test_samples_are_for_every_suite_that_holds_their_problem(tmp_path: Path) -> None:
    plus = tuple(p.model_copy(update={"id": p.id.replace("mbpp", "mbppplus")}) for p in PROBLEMS)
    other = Suite("mbpp+", plus, {p.id: "e" for p in plus}, {})
    rows = [{"task_id": f"Mbpp/{n}", "solution": ""} for n in (2, 3)]
    samples = read_samples(write(tmp_path / "s.jsonl", *rows), [SUITE, other])
    assert [s.key.suite for s in samples] == ["mbpp", "mbpp+"] * 2
    assert {s.task_id for s in samples} == {"Mbpp/2", "Mbpp/3"}
    log = SampleLog(tmp_path)
    for sample in samples:
        log.add_sample(sample)
    assert [s.key for s in read_samples(log.samples_path, [SUITE, other])] == list(log.samples)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"task_id": "HumanEval/0", "solution": ""}],
            "line 1: task_id 'HumanEval/0' is no problem",
        ),
        ([{"solution": ""}], "line 1: no `task_id`"),
        ([{"task_id": None, "solution": ""}], "line 1: no `task_id`"),
        ([{"task_id": ["Mbpp/2"], "solution": ""}], "line 1: no `task_id`"),
        ([{"task_id": 2, "solution": ""}], "line 1: task_id 2 is no problem of mbpp"),
        ([], "s.jsonl: no sample in it; a file of samples is JSONL"),
        ([{"task_id": "Mbpp/2", "code": "x"}], "line 1: no `solution`"),
        ([{"task_id": "Mbpp/2", "completion": 3}], "line 1: no `solution`.*no `completion`"),
        (
            [{"task_id": "Mbpp/2", "solution": ""}],
            "1 of 2 problems of mbpp have no sample, such as",
        ),
    ],
)
def test_samples_that_would_give_a_wrong_figure_are_refused(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_samples(write(tmp_path / "s.jsonl", *rows), [SUITE])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]\n", "line 1: record: not an object; a file of samples is JSONL"),
        (b'[\n {"task_id": "Mbpp/2"}\n]\n', "line 1: json: .*; a file of samples is JSONL"),
        (b'{"task_id": "Mbpp/2", "solution": ""}\n{"task_id": "Mb', "line 2: json: Unterminated"),
        (b'{"task_id": "Mbpp/2", "solution": "\xe9"}\n', "line 1: text: .*; it must be UTF-8"),
        (b'{"task_id": "Mbpp/2", "solution": "a"}\r{}\r', "line 1: json: Extra data.* JSONL"),
        (gzip.compress(b'{"task_id": "Mbpp/2", "solution": "a"}\n')[:30], "damaged or cut short"),
    ],
)
def test_a_file_that_is_no_jsonl_is_told_with_the_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadRecord, match=message):
        read_samples(path, [SUITE])


@pytest.mark.parametrize("form", ["BOM", "CRLF", "blank lines", "gzip", "no last newline"])
def test_files_of_every_system_hold_the_same_samples(tmp_path: Path, form: str) -> None:
    texts = "x = 1\r\n", 'x = "\0 \ud800 \u2028"\n', "#" * 1_000_000
    rows = [json.dumps({"task_id": f"Mbpp/{n}", "solution": t}) for t in texts for n in (2, 3)]
    content = "\n".join(rows).encode()
    content = {
        "BOM": b"\xef\xbb\xbf" + content,
        "CRLF": content.replace(b"\n", b"\r\n"),
        "blank lines": b"\n \t\n" + content.replace(b"\n", b"\n\n") + b"\n\n",
        "gzip": gzip.compress(content),
        "no last newline": content,
    }[form]
    (tmp_path / "s.jsonl").write_bytes(content)
    samples = read_samples(tmp_path / "s.jsonl", [SUITE])
    assert [s.solution for s in samples if s.task_id == "Mbpp/3"] == [*texts]
    assert [s.key.number for s in samples] == [0, 0, 1, 1, 2, 2]
    log = SampleLog(tmp_path)
    for sample in samples:
        log.add_sample(sample)
    assert SampleLog(tmp_path).samples == log.samples


def test_a_line_of_ours_with_values_of_other_types_is_read_as_one_of_another_tool(
    tmp_path: Path,
) -> None:
    log = SampleLog(tmp_path)
    log.add_sample(GeneratedSample(SampleKey("mbpp", "mbpp/2", 0), "Mbpp/2", "a = 1\n", "a = 1\n"))
    [row] = [json.loads(line) for line in log.samples_path.open()]
    other = {"task_id": "Mbpp/3", "solution": "b = 1\n"}
    path = write(tmp_path / "s.jsonl", row | {"completion_tokens": "7"}, other)
    first, _ = read_samples(path, [SUITE])
    assert (first.solution, first.completion_tokens) == ("import math\na = 1\n", 0)
    with pytest.raises(ConfigError, match="line 1: no `solution`"):
        read_samples(write(path, row | {"solution": None, "completion": None}, other), [SUITE])


def test_ids_that_differ_in_their_case_only_are_told_apart(tmp_path: Path) -> None:
    both = tuple(PROBLEMS[1].model_copy(update={"id": name}) for name in ("own/a", "own/A"))
    suite = Suite("own", both, {p.id: "d" for p in both}, {})
    rows = [{"task_id": p.id, "solution": f"{n}"} for n, p in enumerate(both)]
    samples = read_samples(write(tmp_path / "s.jsonl", *rows), [suite])
    assert [(s.key.problem, s.solution) for s in samples] == [("own/a", "0"), ("own/A", "1")]
    with pytest.raises(ConfigError, match="'OWN/A' may be any of own/a, own/A of own; write it"):
        read_samples(write(tmp_path / "s.jsonl", {"task_id": "OWN/A", "solution": ""}), [suite])


def test_with_a_limit_samples_of_other_problems_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"task_id": f"Mbpp/{n}", "solution": ""} for n in (2, 3, 4)]
    path = write(tmp_path / "s.jsonl", *rows)
    with caplog.at_level("INFO"):
        samples = read_samples(path, [SUITE], limited=True)
    assert [s.task_id for s in samples] == ["Mbpp/2", "Mbpp/3"]
    assert "1 samples of other problems left out (--limit), first Mbpp/4 in line 3" in caplog.text
    with pytest.raises(
        ConfigError, match=r"such as mbpp/3 \(1 samples are of other problems, first Mb"
    ):
        read_samples(write(tmp_path / "few.jsonl", rows[0], rows[2]), [SUITE], limited=True)
    with pytest.raises(ConfigError, match="line 4: no `task_id`"):
        read_samples(write(path, *rows, {"solution": ""}), [SUITE], limited=True)
