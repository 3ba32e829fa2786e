"""Test values keep their Python types in JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.datasets.json_values import from_json, to_json
from curriculum.datasets.problem_file import read_problems, write_problems
from curriculum.errors import BadRecord
from curriculum.problem import Test

KEYS = st.one_of(st.text(max_size=3), st.integers(), st.tuples(st.integers(), st.booleans()))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(KEYS | st.frozensets(KEYS, max_size=2), max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(st.sampled_from(["$tuple", "$", "a"]), inner),
    ),
)


def types_of(value):
    """A value with the type of every part, so that (1,) and [1], True and 1 differ."""
    if isinstance(value, dict):
        return dict, sorted((repr(types_of(k)), repr(types_of(v))) for k, v in value.items())
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(types_of(item)) for item in value)
    if isinstance(value, list | tuple):
        return type(value), [types_of(item) for item in value]
    return type(value), value


@given(VALUES)
def test_values_come_back_with_their_types(value):
    back = from_json(json.loads(json.dumps(to_json(value))))
    assert repr(types_of(back)) == repr(types_of(value))


def test_values_survive_a_file_of_problems(tmp_path, make_problem):
    test = Test(input=[(1, {2: "b"}), {3, 4}], kwargs={"k": (5,)}, output={"$x": (6,)})
    write_problems(tmp_path / "a.jsonl", [make_problem(tests=(test,))])
    [problem] = read_problems(tmp_path / "a.jsonl")
    assert repr(types_of(problem.tests[0].model_dump())) == repr(types_of(test.model_dump()))


@pytest.mark.parametrize(
    "form", [{"$tuple": 1}, {"$set": [[1]]}, {"$dict": [1]}, {"$list": []}, {"$tuple": [], "a": 1}]
)
def test_an_unknown_json_form_is_named(tmp_path, make_problem, form):
    record = make_problem().model_dump() | {"tests": [{"input": [form], "output": 0}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    with pytest.raises(BadRecord, match=r"line 1: tests\.0\.input: not a StepCoder value"):
        read_problems(tmp_path / "a.jsonl")
