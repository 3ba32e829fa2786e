import pytest

from curriculum.datasets.registry import read_source
from curriculum.errors import BadRecord
from curriculum.problem import Problem, Test

MBPP = {
    "task_id": 7,
    "text": "Add one. ",
    "code": "def f(x):\r\n\tif x:\r\n\t\treturn x + 1\r\n\treturn 1",
    "test_setup_code": "import math",
    "test_list": ["assert f(1) == 2", "assert f(0)==1"],
}


def test_code_is_normalised_and_asserts_become_calls(write_records):
    [problem] = read_source(write_records(MBPP))
    assert problem == Problem(
        id="mbpp/7",
        question="Add one.",
        preamble="import math\n",
        solution="def f(x):\n    if x:\n        return x + 1\n    return 1",
        fn_name="f",
        tests=(Test(input=[1], output=2), Test(input=[0], output=1)),
        difficulty="introductory",
        source="mbpp",
    )


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"test_list": ["assert abs(f(1)) == 1"]}, "test_list", r"not a plain value: f\(1\)"),
        ({"test_list": ["assert f(open('x')) == 1"]}, "test_list", "not a plain value: open"),
        ({"test_list": "assert f(1)"}, "test_list", "must be a list of texts, not str"),
        ({"test_list": ["assert ("]}, "test_list", "never closed"),
        ({"test_list": []}, "test_list", "0 functions"),
        ({"test_list": ["assert f(1)", "f(1)"]}, "test_list", "not an assert"),
        ({"code": None}, "code", "must be text, not null"),
        ({"code": 5}, "code", "must be text, not int"),
    ],
)
def test_a_bad_record_is_named_by_file_index_and_field(write_records, change, field, reason):
    path = write_records(MBPP, MBPP | {"task_id": 8} | change)
    with pytest.raises(BadRecord, match=rf"data\.jsonl: record 1: {field}: .*({reason})"):
        list(read_source(path))
