import json
import sys

import pyarrow
import pyarrow.parquet
import pytest

from curriculum.datasets.formats.apps import PREAMBLE
from curriculum.datasets.reading.format import ReadOptions
from curriculum.datasets.registry import Skipped, detect, read_source
from curriculum.errors import BadRecord
from curriculum.problem import Test


@pytest.fixture
def write_apps(tmp_path):
    """Writes one problem folder; keywords replace files, with `__` for the dot in their names."""

    def write(name="train/0001", **changes):
        folder = tmp_path / "apps" / name
        folder.mkdir(parents=True)
        files = {
            "question.txt": "Echo.\r\n",
            "solutions.json": json.dumps(["print 'old'", "print(input())"]),
            "input_output.json": json.dumps(
                {"inputs": [["1", "2"], "3\n"], "outputs": ["1", "3\n"]}
            ),
            "metadata.json": json.dumps({"difficulty": "competition"}),
        } | {key.replace("__", "."): value for key, value in changes.items()}
        for file, text in files.items():
            if text is not None:
                (folder / file).write_text(text)
        return tmp_path / "apps"

    return write


def test_a_folder_is_read_by_split_and_takes_the_first_python_3_solution(write_apps):
    write_apps()
    path = write_apps("test/0002")
    assert detect(path).name == "apps"
    [first, second] = read_source(path)
    assert (first.id, second.id) == ("apps/train/0001", "apps/test/0002")
    assert first.solution == "print(input())"
    assert first.tests == (Test(input="1\n2", output="1"), Test(input="3\n", output="3\n"))
    assert (first.question, first.difficulty, first.preamble) == ("Echo.", "competition", "")
    assert [p.id for p in read_source(path, options=ReadOptions(split="test"))] == [
        "apps/test/0002"
    ]


def test_call_based_solutions_in_a_class_get_the_preamble(write_apps):
    solution = "class Solution:\n    def f(self, a: List[int]) -> int:\n        return inf > a[0]\n"
    path = write_apps(
        solutions__json=json.dumps([solution]),
        input_output__json=json.dumps({"fn_name": "f", "inputs": [[[1]]], "outputs": [True]}),
    )
    [problem] = read_source(path)
    assert problem.preamble == PREAMBLE
    namespace = {}
    exec(problem.program, namespace)
    assert namespace["Solution"]().f([1]) is True


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"solutions__json": '["print 1"]'}, "solutions", "none of 1 is Python 3"),
        ({"solutions__json": "[]"}, "solutions", "none"),
        ({"solutions__json": "[1]"}, "solutions", "must be a list of texts, not list"),
        ({"input_output__json": None}, "input_output", "missing"),
        ({"input_output__json": '{"inputs": ["1"]}'}, "outputs", "missing"),
        ({"input_output__json": '{"inputs": ["1"], "outputs": []}'}, "outputs", "0 outputs for 1"),
        ({"input_output__json": '{"inputs": [], "outputs": []}'}, "input_output", "no test in it"),
        ({"metadata__json": '{"difficulty": "grim"}'}, "difficulty", "'grim' is none of"),
        ({"metadata__json": "[1]"}, "metadata.json", "must be a JSON object, not list"),
    ],
)
def test_a_bad_folder_is_named(write_apps, changes, field, reason):
    path = write_apps(**changes)
    with pytest.raises(BadRecord, match=rf"apps: train/0001: {field}: {reason}"):
        list(read_source(path))


def test_a_split_without_problem_folders_is_named(write_apps):
    with pytest.raises(BadRecord, match="no problem folder of split 'test'"):
        list(read_source(write_apps(), options=ReadOptions(split="test")))


def test_parquet_rows_are_read_like_folders(tmp_path):
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
    assert "row 2: input_output: empty" in skipped.examples["input_output"][0]


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more"])
def test_a_file_that_is_not_parquet_is_named(tmp_path, content):
    path = tmp_path / "bad.parquet"
    path.write_bytes(content)
    with pytest.raises(BadRecord, match=r"bad\.parquet: file: parquet: .*Parquet"):
        list(read_source(path))


def test_parquet_without_pyarrow_names_the_package_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(BadRecord, match="needs pyarrow: pip install 'stepcoder"):
        list(read_source(tmp_path / "a.parquet"))
