"""CodeContests, open-r1/codeforces and TACO."""

import json

import pytest

from curriculum.datasets.registry import read_source
from curriculum.errors import BadRecord
from curriculum.problem import Checker, Test
from tests.curriculum.datasets.published import GOOD

CONTESTS, CODEFORCES, TACO = GOOD["code_contests"], GOOD["codeforces"], GOOD["taco"]


def test_parallel_lists_of_tests_and_the_first_python_3_solution_are_read(write_records):
    [problem] = read_source(write_records(CONTESTS))
    assert problem.solution == "print(input())"
    assert problem.tests == (Test(input="1\n", output="1\n"), Test(input="2\n", output="2\n"))
    assert (problem.time_limit, problem.difficulty) == (1.5, "introductory")


@pytest.mark.parametrize(
    ("change", "tier"),
    [
        ({"cf_rating": 1199}, "introductory"), ({"cf_rating": 1999}, "interview"),
        ({"cf_rating": 2400}, "competition"), ({"difficulty": 0}, "interview"),
        ({"difficulty": 2}, "interview"), ({"difficulty": 3}, "competition"),
        ({"difficulty": 9}, "interview"), ({"difficulty": 12}, "competition"),
    ],
)  # fmt: skip
def test_the_rating_gives_the_tier_or_else_the_grade(write_records, change, tier):
    [problem] = read_source(write_records(CONTESTS | change))
    assert problem.difficulty == tier


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"input_file": "in.txt"}, "input_file", "'in.txt': the program must read and write files"),
        ({"solutions": {"language": [1, 2], "solution": ["a", "b"]}}, "solutions", "none of 2 is"),
        ({"solutions": {"language": [3], "solution": ["print 1"]}}, "solutions", "none of 1 is"),
        ({"solutions": {"language": [3], "solution": []}}, "solutions", "0 of 'solution' for 1"),
        ({"public_tests": None, "private_tests": None}, "public_tests", "no test in it"),
        ({"time_limit": 2}, "time_limit", "must be an object of seconds and nanos, not "),
        ({"time_limit": "2s"}, "time_limit", ""),
        ({"time_limit": {"secs": 2}}, "time_limit", ".* is no duration of seconds and nanos"),
        ({"time_limit": {"seconds": "2"}}, "time_limit", ".* is no duration of seconds and nanos"),
        ({"time_limit": {"seconds": -1}}, "time_limit", ".* is no duration of seconds and nanos"),
    ],
)
def test_a_bad_record_of_code_contests_is_named(write_records, change, field, reason):
    with pytest.raises(BadRecord, match=f"line 1: {field}: {reason}"):
        list(read_source(write_records(CONTESTS | change)))


def test_codeforces_brings_checker_time_limit_and_official_tests(write_records):
    [problem] = read_source(write_records(CODEFORCES))
    assert problem.checker == Checker(source="print(1)\n")
    assert (problem.time_limit, problem.difficulty, problem.solution) == (2.0, "interview", "")
    assert problem.tests == (Test(input="2\n", output="2\n"),)
    for part in ("Echo", "Input\nn", "Output\nn", "Example input\n1"):
        assert part in problem.question


def test_examples_are_the_tests_where_no_official_ones_are_published(write_records):
    [problem] = read_source(write_records(CODEFORCES | {"official_tests": []}))
    assert problem.tests == (Test(input="1\n", output="1\n"),)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"interaction_format": "Ask."}, "interaction_format"),
        ({"input_mode": "file"}, "input_mode"),
    ],
)
def test_what_cannot_be_judged_here_is_refused_by_name(write_records, change, field):
    with pytest.raises(BadRecord, match=f"line 1: {field}: "):
        list(read_source(write_records(CODEFORCES | change)))


def test_taco_grades_in_its_own_words_and_has_time_limits(write_records):
    levels = {"EASY": "introductory", "MEDIUM": "interview", "VERY_HARD": "competition"}
    records = [TACO | {"difficulty": level} for level in levels]
    problems = list(read_source(write_records(*records)))
    assert [p.difficulty for p in problems] == list(levels.values())
    assert [p.id for p in problems] == ["taco/data/0", "taco/data/1", "taco/data/2"]
    assert {(p.time_limit, p.comparison) for p in problems} == {(2.0, "apps")}


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        (None, None), ({"seconds": 0, "nanos": 0}, None), ({"seconds": 3, "nanos": None}, 3.0),
        ('{"seconds": 2}', 2.0), ({"nanos": 500_000_000}, 0.5),
    ],
)  # fmt: skip
def test_code_contests_writes_time_limits_as_durations(write_records, limit, seconds):
    [problem] = read_source(write_records(CONTESTS | {"time_limit": limit}))
    assert problem.time_limit == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2000 ms", 2.0), ("0.5 sec", 0.5), ("1 second", 1.0), ("None", None), (None, None)],
)
def test_taco_writes_time_limits_in_several_units(write_records, text, seconds):
    [problem] = read_source(write_records(TACO | {"time_limit": text}))
    assert problem.time_limit == seconds


def test_a_time_limit_of_no_known_unit_is_refused(write_records):
    with pytest.raises(BadRecord, match="time_limit: '2 minutes' is no number of seconds"):
        list(read_source(write_records(TACO | {"time_limit": "2 minutes"})))


def test_taco_calls_a_function_where_it_names_one(write_records):
    packed = {"fn_name": "f", "inputs": [[1]], "outputs": [[1]]}
    change = {"input_output": json.dumps(packed), "solutions": '["def f(x):\\n    return x"]'}
    [problem] = read_source(write_records(TACO | change))
    assert problem.fn_name == "f"
    assert problem.tests == (Test(input=[1], output=[1]),)
