"""APPS+-shaped files: tolerant of form, strict about meaning."""

import json
import logging

import pytest

from curriculum.datasets.registry import FORMATS, read_source
from curriculum.errors import BadRecord
from curriculum.problem import Test
from curriculum.subtask import starter_prefix

CALLS = {
    "id": "a/1",
    "question": "Add one.",
    "solution": "def f(x):\r\n    return x + 1",
    "fn_name": "f",
    "starter_code": "def f(x):\n",
    "inputs": [[1], [2]],
    "outputs": [2, 3],
    "difficulty": "interview",
    "published": "2024-05-01",
}
STDIN = {
    "question": "Echo.",
    "solutions": ["print(input())", "print('other')"],
    "input_output": {"inputs": ["1\n", ["2", "3"]], "outputs": ["1\n", ["2"]]},
    "level": "Introductory",
}


def without(record, *keys):
    return {key: value for key, value in record.items() if key not in keys}


def read(tmp_path, text, format: str | None = "apps_plus"):
    path = tmp_path / "apps.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return list(read_source(path, FORMATS[format] if format else None))


@pytest.mark.parametrize("form", ["list", "indented list", "object", "jsonl", "one record"])
def test_every_form_of_file_gives_the_same_problems(tmp_path, form):
    other = CALLS | {"id": "a/2", "question": "Another."}
    text = {
        "list": json.dumps([CALLS, other]),
        "indented list": json.dumps([CALLS, other], indent=2),
        "object": json.dumps({"a/1": without(CALLS, "id"), "a/2": without(other, "id")}),
        "jsonl": json.dumps(CALLS) + "\n\n" + json.dumps(other) + "\n",
        "one record": json.dumps(CALLS),
    }[form]
    problems = read(tmp_path, text)
    assert [problem.id for problem in problems] == ["a/1", "a/2"][: len(problems)]
    assert len(problems) == (1 if form == "one record" else 2)
    first = problems[0]
    assert first.solution == "def f(x):\n    return x + 1"
    assert first.tests == (Test(input=[1], output=2), Test(input=[2], output=3))
    assert (first.fn_name, first.difficulty, first.source) == ("f", "interview", "apps")


def test_stdin_problems_join_lists_of_lines(tmp_path):
    problem = read(tmp_path, [STDIN])[0]
    assert problem.fn_name is None
    assert problem.tests == (Test(input="1\n", output="1\n"), Test(input="2\n3", output="2"))
    assert problem.solution == "print(input())"
    assert (problem.id, problem.difficulty) == ("apps/0", "introductory")


@pytest.mark.parametrize("fn_name", [None, ""])
def test_no_function_name_means_a_stdin_program(tmp_path, fn_name):
    assert read(tmp_path, [STDIN | {"fn_name": fn_name}])[0].fn_name is None


@pytest.mark.parametrize(
    ("field", "key"),
    [
        *(("question", k) for k in ("prompt", "problem", "description", "Problem Description")),
        *(("solution", k) for k in ("canonical_solution", "canonical solution")),
        *(("fn_name", k) for k in ("function_name", "entry_point", "Function Name")),
        ("difficulty", "level"),
        ("starter_code", "starter code"),
        ("id", "task_id"),
        ("published", "Published"),
    ],
)
def test_aliases_are_accepted_and_told(tmp_path, caplog, field, key):
    renamed = without(CALLS, field) | {key: CALLS[field], "url": "x"}
    expected = read(tmp_path, [CALLS])
    with caplog.at_level(logging.INFO, logger="curriculum"):
        assert read(tmp_path, [renamed], None) == expected
    assert f"{field} from {key!r}" in caplog.text
    assert "keys not read: 'url'" in caplog.text


def test_a_function_without_parameters_whose_tests_are_texts_is_a_stdin_program(tmp_path):
    """As APPS+ publishes programs that read stdin."""
    record = without(CALLS, "fn_name") | {
        "function name": "solve",
        "starter_code": "def solve():",
        "solution": "def solve():\n    print(int(input()) + 1)",
        "inputs": ["1\n", "2\n"],
        "outputs": ["2\n", "3\n"],
    }
    problem = read(tmp_path, [record])[0]
    assert problem.fn_name is None
    assert problem.solution == ("def solve():\n    print(int(input()) + 1)\n\n\nsolve()\n")
    assert problem.tests == (Test(input="1\n", output="2\n"), Test(input="2\n", output="3\n"))
    assert starter_prefix(problem) == "def solve():"
    with_argument = record | {"solution": "def solve(x):\n    return x"}
    with pytest.raises(BadRecord, match="must be a list of arguments"):
        read(tmp_path, [with_argument])


def test_packed_fields_may_be_json_strings(tmp_path):
    packed = STDIN | {
        "solutions": json.dumps(STDIN["solutions"]),
        "input_output": json.dumps(STDIN["input_output"]),
    }
    assert read(tmp_path, [packed]) == read(tmp_path, [STDIN])


def test_a_function_name_inside_input_output_counts(tmp_path):
    record = without(CALLS, "fn_name", "inputs", "outputs") | {
        "input_output": {"fn_name": "f", "inputs": [[1], [2]], "outputs": [2, 3]}
    }
    assert read(tmp_path, [record]) == read(tmp_path, [CALLS])


def test_indentation_by_tabs_becomes_spaces_in_starter_and_solution_alike(tmp_path):
    solution = 'def f(x):\r\n\ty = "\t"\r\n\treturn x + len(y)'
    spaces = 'def f(x):\n    y = "\t"\n    return x + len(y)'
    for starter, prefix in (
        ('def f(x):\n\ty = "\t"\n', 'def f(x):\n    y = "\t"'),
        ('def f(x):\n\ty = "\t"\n\treturn', 'def f(x):\n    y = "\t"\n    return'),
        ("def f(x):\n\t", "def f(x):"),
    ):
        record = CALLS | {"solution": solution, "starter_code": starter}
        problem = read(tmp_path, [record])[0]
        assert problem.solution == spaces
        assert starter_prefix(problem) == prefix


def test_a_solution_that_begins_with_a_bracket_is_code(tmp_path):
    record = without(STDIN, "solutions") | {"solution": "[print(i) for i in input()]"}
    assert read(tmp_path, [record])[0].solution == "[print(i) for i in input()]"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"question": None}, "question", "must be text, not null"),
        ({"solution": "  "}, "solution", "empty"),
        ({"solution": []}, "solution", "none"),
        ({"outputs": [2]}, "outputs", "1 outputs for 2 inputs"),
        ({"inputs": [], "outputs": []}, "inputs", "at least 1 test"),
        ({"inputs": {"a": 1}}, "inputs", "must be a list, not dict"),
        ({"inputs": "[[1]"}, "inputs", "text that is not JSON"),
        ({"inputs": ["1", "2"]}, "tests", r"tests\[0\].input must be a list of arguments"),
        ({"fn_name": None}, "tests", r"tests\[0\] of a stdin program needs string"),
        ({"fn_name": 5}, "fn_name", "must be text, not int"),
        ({"difficulty": "easy"}, "difficulty", "'easy' is none of introductory, interview"),
        ({"difficulty": 2}, "difficulty", "2 is none of"),
        ({"input_output": {"inputs": [[9], [9]]}}, "inputs", "both beside and inside"),
        ({"input_output": [1]}, "input_output", "must be a JSON object, not list"),
        ({"Question": "twice"}, "record", "differ only in spelling"),
    ],
)
def test_a_bad_record_is_named_by_file_index_and_field(tmp_path, change, field, reason):
    bad = CALLS | {"id": "a/2"} | change
    with pytest.raises(BadRecord, match=rf"apps\.json: record 2: {field}: .*{reason}"):
        read(tmp_path, [CALLS, bad])


@pytest.mark.parametrize("field", ["question", "solution", "inputs", "outputs"])
def test_a_missing_field_is_named_with_the_accepted_keys(tmp_path, field):
    with pytest.raises(BadRecord, match=rf"record 1: {field}: missing \(accepted: {field}"):
        read(tmp_path, [without(CALLS, field)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "line 1: json: Expecting value"),
        (json.dumps([CALLS])[:-1] + ",", "record 2: json: Expecting value"),
        (json.dumps([CALLS])[:-1] + ",]", "record 2: json: Expecting value"),
        (json.dumps([CALLS])[:-1], "record 2: json: the file ends too early"),
        (json.dumps([CALLS])[:-9], "record 1: json: "),
        (json.dumps([CALLS]) + "]", "record 2: json: the document has ended"),
        (
            "[" + json.dumps(CALLS) + json.dumps(CALLS) + "]",
            "record 2: json: expected a comma or ]",
        ),
        (json.dumps({"a": CALLS})[:-1] + ", 5: 1}", "record 2: json: "),
        ("[1]", "record 1: record: must be a JSON object, not int"),
        (json.dumps(CALLS) + '\n{"id": ', "line 2: json: Expecting value"),
    ],
)
def test_files_that_are_no_json_are_named(tmp_path, text, message):
    with pytest.raises(BadRecord, match=rf"apps\.json: {message}"):
        read(tmp_path, text)
