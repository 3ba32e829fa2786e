import pytest

from curriculum.datasets.registry import read_source
from curriculum.errors import BadRecord
from curriculum.problem import Assertions, Test

HUMAN_EVAL = {
    "task_id": "HumanEval/9",
    "prompt": "def g(x, y=0):\n    ''' Doc. '''\n",
    "entry_point": "g",
    "canonical_solution": "    return (x, y)\n",
    "test": "def check(candidate):\n    assert True\n    assert candidate((1,), y=2)==((1,), 2)\n",
}


def test_the_solution_begins_with_the_prompt_and_tests_keep_tuples(write_records):
    [problem] = read_source(write_records(HUMAN_EVAL))
    assert problem.solution == HUMAN_EVAL["prompt"] + HUMAN_EVAL["canonical_solution"]
    assert problem.starter_code == HUMAN_EVAL["prompt"]
    assert problem.tests == (Test(input=[(1,)], kwargs={"y": 2}, output=((1,), 2)),)


@pytest.mark.parametrize(
    ("test", "field", "reason"),
    [
        ("def check(c):\n    for i in 'a': pass", "test", "asserts nothing"),
        ("x = 1", "test", "exactly one `def check"),
        ("def check(c):\n    assert g(1) == 2", "test", "does not call c"),
        ("def check(c):\n    assert True", "test", "asserts nothing"),
    ],
)
def test_a_bad_record_is_named_by_file_index_and_field(write_records, test, field, reason):
    path = write_records(HUMAN_EVAL, HUMAN_EVAL | {"task_id": "HumanEval/10", "test": test})
    with pytest.raises(BadRecord, match=rf"data\.jsonl: line 2: {field}: .*({reason})"):
        list(read_source(path))


@pytest.mark.parametrize(
    "body",
    ["assert candidate(1)", "assert abs(candidate(1) - 2) < 1e-6",
     "for x in range(3):\n        assert candidate(x) == x", "assert tuple(candidate(1)) == (1,)"],
)  # fmt: skip
def test_a_check_that_is_not_plain_calls_stays_whole(write_records, body):
    test = f"METADATA = {{}}\n\ndef check(candidate):\n    {body}\n"
    [problem] = read_source(write_records(HUMAN_EVAL | {"test": test}))
    assert problem.assertions == Assertions(setup=test, statements=("check(g)",))
    assert problem.fn_name == "g"


def test_what_stands_before_the_function_is_the_preamble_too(write_records):
    """An answer that gives the function alone runs behind the prompt's imports and helpers."""
    helpers = "from typing import List\n\n\ndef h(x: int):\n    return x\n"
    prompt = f"{helpers}\n\ndef g(x: List):\n    ''' Doc. '''\n"
    [problem] = read_source(write_records(HUMAN_EVAL | {"prompt": prompt}))
    assert problem.preamble == helpers
    assert problem.starter_code == prompt


def test_inputs_without_results_are_refused_with_the_file_to_take(write_records):
    """EvalPlus's own release, which computes the results as it runs."""
    record = {k: v for k, v in HUMAN_EVAL.items() if k != "test"}
    path = write_records(record | {"base_input": [[1]], "plus_input": [[2]], "atol": 0})
    with pytest.raises(BadRecord, match=r"test: .*inputs without results; take its files on the"):
        list(read_source(path))
