"""Published data sets in the forms they come in: read alike, bad records named and counted."""

import gzip
import json
import sys

import pyarrow
import pyarrow.parquet
import pytest

from curriculum.datasets.formats.apps import PREAMBLE
from curriculum.datasets.formats.record import without_tabs
from curriculum.datasets.problem_file import write_problems
from curriculum.datasets.registry import Skipped, detect, read_source
from curriculum.errors import BadRecord
from curriculum.problem import Problem, Test

MBPP = {
    "task_id": 7,
    "text": "Add one. ",
    "code": "def f(x):\r\n\tif x:\r\n\t\treturn x + 1\r\n\treturn 1",
    "test_setup_code": "import math",
    "test_list": ["assert f(1) == 2", "assert f(0)==1"],
}
HUMAN_EVAL = {
    "task_id": "HumanEval/9",
    "prompt": "def g(x, y=0):\n    ''' Doc. '''\n",
    "entry_point": "g",
    "canonical_solution": "    return (x, y)\n",
    "test": "def check(candidate):\n    assert True\n    assert candidate((1,), y=2)==((1,), 2)\n",
}
LEETCODE = {
    "task_id": "two-sum",
    "difficulty": "Hard",
    "problem_description": "Two sum.",
    "prompt": "from typing import *\n",
    "starter_code": "class Solution:\n    def twoSum(self, nums: List[int], target):\n        ",
    "completion": "class Solution:\n    def twoSum(self, nums, target):\n        return [0, 1]\n",
    "entry_point": "Solution().twoSum",
    "test": "def check(candidate):\n    assert candidate(nums = [3,3],target = 6) == [0,1]\n",
}
RECORDS = {"mbpp": MBPP, "human_eval": HUMAN_EVAL, "leetcode": LEETCODE}


def lines(tmp_path, *records, name="data.jsonl"):
    path = tmp_path / name
    text = "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def apps(tmp_path, name="train/0001", **changes):
    folder = tmp_path / "apps" / name
    folder.mkdir(parents=True)
    files = {
        "question.txt": "Echo.\r\n",
        "solutions.json": json.dumps(["print 'old'", "print(input())"]),
        "input_output.json": json.dumps({"inputs": [["1", "2"], "3\n"], "outputs": ["1", "3\n"]}),
        "metadata.json": json.dumps({"difficulty": "competition"}),
    } | {key.replace("__", "."): value for key, value in changes.items()}
    for file, text in files.items():
        if text is not None:
            (folder / file).write_text(text)
    return tmp_path / "apps"


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz"])
@pytest.mark.parametrize("form", RECORDS)
def test_the_form_is_found_by_the_keys_plain_or_gzipped(tmp_path, form, name):
    path = lines(tmp_path, RECORDS[form], name=name)
    assert detect(path) == form
    assert list(read_source(path)) == list(read_source(path, form))


def test_mbpp_is_normalised_and_its_asserts_become_calls(tmp_path):
    [problem] = read_source(lines(tmp_path, MBPP))
    assert problem == Problem(
        id="mbpp/7",
        question="Add one.",
        preamble="import math\n",
        canonical_solution="def f(x):\n    if x:\n        return x + 1\n    return 1",
        fn_name="f",
        tests=(Test(input=[1], output=2), Test(input=[0], output=1)),
        difficulty="introductory",
        source="mbpp",
    )


def test_human_eval_begins_with_its_prompt_and_keeps_tuples(tmp_path):
    [problem] = read_source(lines(tmp_path, HUMAN_EVAL))
    assert problem.canonical_solution == HUMAN_EVAL["prompt"] + HUMAN_EVAL["canonical_solution"]
    assert problem.starter_code == HUMAN_EVAL["prompt"]
    assert problem.tests == (Test(input=[(1,)], kwargs={"y": 2}, output=((1,), 2)),)


def test_leetcode_keeps_the_preamble_apart_and_calls_the_method(tmp_path):
    [problem] = read_source(lines(tmp_path, LEETCODE))
    assert (problem.preamble, problem.fn_name) == ("from typing import *\n\n", "twoSum")
    assert problem.tests == (Test(input=[], kwargs={"nums": [3, 3], "target": 6}, output=[0, 1]),)
    assert (problem.difficulty, problem.id) == ("competition", "leetcode/two-sum")


def test_our_own_files_are_found_and_read(tmp_path, make_problem):
    write_problems(tmp_path / "own.jsonl", [make_problem(0), make_problem(1)])
    assert detect(tmp_path / "own.jsonl") == "ours"
    assert [p.id for p in read_source(tmp_path / "own.jsonl")] == ["p0", "p1"]


def test_an_apps_folder_is_read_by_split_and_takes_the_first_python_3_solution(tmp_path):
    apps(tmp_path)
    path = apps(tmp_path, "test/0002")
    assert detect(path) == "apps"
    [first, second] = read_source(path)
    assert (first.id, second.id) == ("apps/train/0001", "apps/test/0002")
    assert first.canonical_solution == "print(input())"
    assert first.tests == (Test(input="1\n2", output="1"), Test(input="3\n", output="3\n"))
    assert (first.question, first.difficulty, first.preamble) == ("Echo.", "competition", "")
    assert [p.id for p in read_source(path, split="test")] == ["apps/test/0002"]


def test_call_based_apps_solutions_in_a_class_get_the_preamble(tmp_path):
    solution = "class Solution:\n    def f(self, a: List[int]) -> int:\n        return inf > a[0]\n"
    path = apps(
        tmp_path,
        solutions__json=json.dumps([solution]),
        input_output__json=json.dumps({"fn_name": "f", "inputs": [[[1]]], "outputs": [True]}),
    )
    [problem] = read_source(path)
    assert problem.preamble == PREAMBLE
    namespace = {}
    exec(problem.program, namespace)
    assert namespace["Solution"]().f([1]) is True


def test_apps_parquet_rows_hold_what_the_folders_hold(tmp_path):
    row = {
        "problem_id": 12,
        "question": "Echo.",
        "solutions": json.dumps(["print(input())"]),
        "input_output": json.dumps({"inputs": ["1"], "outputs": ["1"]}),
        "difficulty": "interview",
        "url": "https://example.org",
        "starter_code": "",
    }
    rows = [row, row | {"problem_id": 13, "input_output": ""}, row | {"problem_id": 14}]
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    skipped = Skipped()
    problem, last = read_source(path, skipped=skipped)
    assert (problem.id, problem.tests) == ("apps/12", (Test(input="1", output="1"),))
    assert last.id == "apps/14"
    assert "row 1: input_output: text that is not JSON" in skipped.examples["input_output"][0]


@pytest.mark.parametrize("whole", [b"", b"PAR1 and no more"])
def test_a_file_that_is_no_parquet_is_named(tmp_path, whole):
    path = tmp_path / "bad.parquet"
    path.write_bytes(whole)
    with pytest.raises(BadRecord, match=r"bad\.parquet: file: parquet: .*Parquet"):
        list(read_source(path))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(BadRecord, match="needs pyarrow: pip install 'stepcoder"):
        list(read_source(tmp_path / "a.parquet"))


BAD = [
    ("mbpp", {"test_list": ["assert abs(f(1)) == 1"]}, "test_list", r"no plain value: f\(1\)"),
    ("mbpp", {"test_list": ["assert f(open('x')) == 1"]}, "test_list", "no plain value: open"),
    ("mbpp", {"test_list": "assert f(1)"}, "test_list", "a list of asserts"),
    ("mbpp", {"test_list": ["assert ("]}, "test_list", "never closed"),
    ("mbpp", {"test_list": []}, "test_list", "0 functions"),
    ("mbpp", {"code": None}, "code", "missing"),
    ("mbpp", {"code": 5}, "code", "text is wanted, not int"),
    ("human_eval", {"test": "def check(c):\n    for i in 'a': pass"}, "test", "not an assert"),
    ("human_eval", {"test": "x = 1"}, "test", "one `def check"),
    ("human_eval", {"test": "def check(c):\n    assert g(1) == 2"}, "test", "not a call of c"),
    ("human_eval", {"test": "def check(c):\n    assert True"}, "tests", "at least 1 item"),
    ("leetcode", {"difficulty": "grim"}, "difficulty", "'grim' is none of easy"),
]


@pytest.mark.parametrize(("form", "change", "field", "reason"), BAD)
def test_a_bad_record_is_named_or_counted_and_the_others_are_read(
    tmp_path, form, change, field, reason
):
    good = RECORDS[form]
    path = lines(tmp_path, good, good | {"task_id": "bad"} | change, good | {"task_id": "last"})
    with pytest.raises(BadRecord, match=rf"data\.jsonl: record 1: {field}: .*({reason})"):
        list(read_source(path, form))
    skipped = Skipped()
    assert len(list(read_source(path, form, skipped=skipped))) == 2
    assert (skipped.counts, skipped.total) == ({field: 1}, 1)


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"solutions__json": '["print 1"]'}, "solutions", "none of 1 is Python 3"),
        ({"solutions__json": "[]"}, "solutions", "none"),
        ({"input_output__json": None}, "input_output", "missing"),
        ({"input_output__json": '{"inputs": ["1"]}'}, "outputs", "missing"),
        ({"input_output__json": '{"inputs": ["1"], "outputs": []}'}, "outputs", "0 outputs for 1"),
        ({"input_output__json": '{"inputs": [], "outputs": []}'}, "tests", ".*at least 1"),
        ({"metadata__json": '{"difficulty": "grim"}'}, "difficulty", "'grim' is none of"),
    ],
)
def test_a_bad_apps_folder_is_named(tmp_path, changes, field, reason):
    path = apps(tmp_path, **changes)
    with pytest.raises(BadRecord, match=rf"apps: train/0001: {field}: {reason}"):
        list(read_source(path))


def test_lines_that_are_no_records_are_named_and_the_next_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("curriculum.datasets.jsonl.MAX_RECORD_BYTES", 2000)
    path = lines(tmp_path, MBPP, "no json", "[1]", "", "x" * 2500, "y" * 9000, MBPP)
    skipped = Skipped()
    assert len(list(read_source(path, skipped=skipped))) == 1
    assert skipped.counts == {"json": 1, "record": 3, "id": 1}
    assert "record 2: record: must be a JSON object, not list" in skipped.examples["record"][0]
    assert "record 3: record: longer than" in skipped.examples["record"][1]


def test_a_truncated_gzip_is_named_even_where_bad_records_are_skipped(tmp_path):
    path = lines(tmp_path, *[MBPP | {"task_id": i} for i in range(300)], name="data.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadRecord, match=r"line \d+ or later: gzip: damaged or cut short"):
        list(read_source(path, skipped=Skipped()))


def test_doubled_ids_and_tier_filters_and_misplaced_splits(tmp_path):
    path = lines(tmp_path, MBPP, MBPP)
    with pytest.raises(BadRecord, match=r"'mbpp/7'.*stood in an earlier record"):
        list(read_source(path))
    assert list(read_source(path, tiers=["competition"], skipped=Skipped())) == []
    with pytest.raises(ValueError, match="only an APPS folder has splits"):
        list(read_source(path, split="train"))


def test_folders_and_files_without_problems_are_named(tmp_path):
    with pytest.raises(BadRecord, match="no problem folder in it"):
        detect(tmp_path)
    with pytest.raises(BadRecord, match="no problem folder of split 'test'"):
        list(read_source(apps(tmp_path), split="test"))
    with pytest.raises(FileNotFoundError):
        detect(tmp_path / "absent.jsonl")


@pytest.mark.parametrize(
    "source",
    ["def f():\n\treturn '''\n\tx'''\n", "if 1:\n\tx = 1\n        y = 2\n", "x = '\t'\n"],
)
def test_tabs_stay_where_replacing_them_would_change_the_program(source):
    assert without_tabs(source) == source


def test_reading_streams(tmp_path):
    records = [json.dumps(MBPP | {"task_id": i}) for i in range(5)]
    path = lines(tmp_path, *records, "no json")
    reading = read_source(path)
    assert [next(reading).id for _ in range(5)] == [f"mbpp/{i}" for i in range(5)]
    with pytest.raises(BadRecord, match="record 5"):
        next(reading)
