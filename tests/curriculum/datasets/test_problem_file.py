import gzip
import json
from datetime import date

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.datasets.problem_file import read_problems, write_problems
from curriculum.errors import BadRecord
from curriculum.problem import Problem, Test

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PROBLEMS = st.builds(
    Problem,
    id=st.uuids().map(str),
    question=TEXT,
    starter_code=TEXT,
    solution=TEXT,
    fn_name=st.just("f"),
    tests=st.lists(
        st.builds(
            Test,
            input=st.lists(JSON, max_size=3),
            kwargs=st.dictionaries(st.text(), JSON, max_size=2),
            output=JSON,
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    difficulty=st.sampled_from(["introductory", "interview", "competition"]),
    source=TEXT,
)


@given(st.lists(PROBLEMS, max_size=4, unique_by=lambda problem: problem.id))
def test_problems_are_read_as_written_and_give_the_same_bytes(tmp_path_factory, problems):
    folder = tmp_path_factory.mktemp("problems")
    write_problems(folder / "a.jsonl", problems)
    read = read_problems(folder / "a.jsonl")
    assert read == problems
    write_problems(folder / "b.jsonl", read)
    assert (folder / "a.jsonl").read_bytes() == (folder / "b.jsonl").read_bytes()


def test_stdin_problems_are_read_as_written(tmp_path, make_problem):
    problem = make_problem(fn_name=None, tests=(Test(input="1\r\n2\n", output="\u2028é\n"),))
    write_problems(tmp_path / "a.jsonl", [problem])
    assert read_problems(tmp_path / "a.jsonl") == [problem]


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        ("{", "json", "Expecting property name .*, column 3$"),
        ('{"id": "a"}', "question", "missing$"),
        ("[1]", "record", "must be a JSON object"),
        ('{"x": ' + "1" * 5000 + "}", "json", "digits"),
        ("[" * 100_000, "json", "recursion"),
    ],
)
def test_a_bad_line_is_named_by_file_line_and_field(tmp_path, make_problem, line, field, reason):
    path = tmp_path / "bad.jsonl"
    write_problems(path, [make_problem(0)])
    path.write_text(path.read_text() + "\n" + line + "\n")
    with pytest.raises(BadRecord, match=rf"bad\.jsonl: line 3: {field}: .*{reason}"):
        read_problems(path)


def test_a_bad_nested_field_is_named_by_its_path(tmp_path, make_problem):
    record = make_problem(0).model_dump()
    record["tests"] = [*record["tests"], {"input": []}]
    (tmp_path / "bad.jsonl").write_text(json.dumps(record))
    with pytest.raises(BadRecord, match=r"line 1: tests\.1\.output: missing"):
        read_problems(tmp_path / "bad.jsonl")


def test_an_id_used_twice_is_named_with_both_lines(tmp_path, make_problem):
    write_problems(tmp_path / "a.jsonl", [make_problem(0), make_problem(1), make_problem(0)])
    with pytest.raises(BadRecord, match="line 3: id: 'p0' was used on line 1"):
        read_problems(tmp_path / "a.jsonl")


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"\xe9 {")
    with pytest.raises(BadRecord, match=r"a\.jsonl: line 1: text"):
        read_problems(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "git lfs pull"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        ('{"id": "a"}\n'.encode("utf-16"), "it must be UTF-8"),
        (b"PAR1\x15\x04", "must end in .parquet"),
        (b"PK\x03\x04", "a zip archive"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, content, reason):
    path = tmp_path / "problems.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadRecord, match=reason):
        list(read_problems(path))


def test_gzip_is_read_whatever_its_name(tmp_path, make_problem):
    write_problems(tmp_path / "a.jsonl", [make_problem()])
    path = tmp_path / "b.jsonl"
    path.write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    assert list(read_problems(path)) == [make_problem()]


@pytest.mark.parametrize("odd", [b"x", 1j, {"a": [b"x"]}, {b"x": 1}, ({2j},)])
def test_values_without_a_json_form_are_refused_and_keep_the_old_file(tmp_path, make_problem, odd):
    path = tmp_path / "a.jsonl"
    write_problems(path, [make_problem(0)])
    before = path.read_bytes()
    problems = [make_problem(1), make_problem(2, tests=(Test(input=[odd], output=0),))]
    with pytest.raises(ValueError, match=r"problem 'p2': tests\[0\]\.input: JSON cannot keep"):
        write_problems(path, problems)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_our_own_form_in_parquet_has_nulls_and_tests_as_json_text(tmp_path, make_problem):
    """A column has one type, and every record has every column."""
    problems = [
        make_problem(0, tests=(Test(input=[(1,), "a"], kwargs={"k": 1}, output={2}),)),
        make_problem(
            1,
            fn_name=None,
            tests=(Test(input="1\n", output="1\n"),),
            time_limit=2.0,
            published=date(2024, 5, 1),
        ),
    ]
    write_problems(tmp_path / "own.jsonl", problems)
    records = [json.loads(line) for line in (tmp_path / "own.jsonl").read_text().splitlines()]
    for record in records:
        record["tests"] = json.dumps(record["tests"])
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "own.parquet")
    assert read_problems(tmp_path / "own.parquet") == problems


def test_an_integer_that_python_cannot_read_is_named_without_pythons_advice(tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_text(f'{{"id": {"9" * 5000}}}\n')
    with pytest.raises(BadRecord, match="json: an integer of more than 4,300 digits"):
        list(read_problems(path))
