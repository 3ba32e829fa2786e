import pickle

import pytest
from pydantic import ValidationError

from curriculum.errors import BadRecord, first_fault
from curriculum.problem import Problem


def test_bad_records_can_be_pickled():
    error = BadRecord("a.jsonl", "line 1", "id", "missing")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "a.jsonl: line 1: id: missing"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"tests": [{"input": [1]}]}, ("tests.0.output", "missing")),
        ({"tests": [3]}, ("tests.0", "must be a JSON object")),
        ({"preamble": "x = 1"}, ("preamble", "must end with a newline: ")),
        ({"difficulty": "easy"}, ("difficulty", "'easy' is none of introductory, ")),
        ({"time_limit": -1}, ("time_limit", "must be greater than 0, not -1")),
        ({"questoin": "q"}, ("questoin", "unknown field")),
        ({"question": 3}, ("question", "must be text, not int")),
    ],
)
def test_the_first_fault_of_a_record_is_named_in_plain_words(make_problem, change, fault):
    with pytest.raises(ValidationError) as raised:
        Problem.model_validate(make_problem(0).model_dump() | change)
    field, reason = first_fault(raised.value)
    assert field == fault[0]
    assert reason.startswith(fault[1])
