import pytest

from curriculum.datasets.registry import read_source
from curriculum.errors import BadRecord
from curriculum.problem import Test

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
        ("def check(c):\n    for i in 'a': pass", "test", "not an assert"),
        ("x = 1", "test", "exactly one `def check"),
        ("def check(c):\n    assert g(1) == 2", "test", "not a call of c"),
        ("def check(c):\n    assert True", "tests", "at least 1 test"),
    ],
)
def test_a_bad_record_is_named_by_file_index_and_field(write_records, test, field, reason):
    path = write_records(HUMAN_EVAL, HUMAN_EVAL | {"task_id": "HumanEval/10", "test": test})
    with pytest.raises(BadRecord, match=rf"data\.jsonl: record 1: {field}: .*({reason})"):
        list(read_source(path))
