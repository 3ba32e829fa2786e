"""What every format reads and refuses: each bad file gives one error with file, record and field.

A new JSONL format joins these tests by an entry in `GOOD`, `OTHER_ID`, `WITHOUT_OUTPUTS` and
`REQUIRED_KEY`.
"""

import pytest

from curriculum.datasets.registry import FORMATS, Skipped, detect, read_source
from curriculum.errors import BadRecord

STEPCODER = {
    "id": "a", "question": "q", "solution": "def f(x): return x", "fn_name": "f",
    "tests": [{"input": [1], "output": 1}], "difficulty": "interview", "source": "test",
}  # fmt: skip
APPS_PLUS = {
    "id": "a", "question": "q", "canonical_solution": "def f(x): return x", "fn_name": "f",
    "inputs": [[1]], "outputs": [1], "difficulty": "interview",
}  # fmt: skip
MBPP = {"task_id": 1, "text": "q", "code": "def f(x): return x", "test_list": ["assert f(1) == 1"]}
HUMAN_EVAL = {
    "task_id": "H/0", "prompt": "def f(x):\n", "entry_point": "f",
    "canonical_solution": "    return x\n", "test": "def check(c):\n    assert c(1) == 1\n",
}  # fmt: skip
LEETCODE = {
    "task_id": "two", "problem_description": "q", "difficulty": "Easy",
    "completion": "class Solution:\n    def f(self, x): return x\n",
    "entry_point": "Solution().f", "test": "def check(c):\n    assert c(1) == 1\n",
}  # fmt: skip
GOOD: dict[str, dict] = {
    "stepcoder": STEPCODER, "apps_plus": APPS_PLUS, "mbpp": MBPP,
    "human_eval": HUMAN_EVAL, "leetcode": LEETCODE,
}  # fmt: skip
OTHER_ID: dict[str, dict] = {
    "stepcoder": {"id": "b"}, "apps_plus": {"id": "b"}, "mbpp": {"task_id": 2},
    "human_eval": {"task_id": "H/1"}, "leetcode": {"task_id": "three"},
}  # fmt: skip
WITHOUT_OUTPUTS: dict[str, tuple[dict, str]] = {
    "stepcoder": ({"tests": [{"input": [1]}]}, r"tests\.0\.output: missing"),
    "apps_plus": ({"outputs": []}, "outputs: 0 outputs for 1 inputs"),
    "mbpp": ({"test_list": ["assert f(1)", "f(1)"]}, "test_list: "),
    "human_eval": ({"test": "def check(c):\n    c(1)\n"}, "test: "),
    "leetcode": ({"test": "def check(c):\n    c(1)\n"}, "test: "),
}
REQUIRED_KEY: dict[str, str] = {
    "stepcoder": "question", "apps_plus": "question", "mbpp": "text", "human_eval": "prompt",
    "leetcode": "completion",
}  # fmt: skip
every_format = pytest.mark.parametrize("format", GOOD)


def test_every_jsonl_format_is_in_these_tests():
    for table in (GOOD, OTHER_ID, WITHOUT_OUTPUTS, REQUIRED_KEY):
        missing = set(FORMATS) - {"apps", "apps_parquet"} - set(table)
        assert not missing, f"add {missing} to the tables of this file"


def second(format):
    """Another good record of the format."""
    return GOOD[format] | OTHER_ID[format]


def error_message(path, format):
    with pytest.raises(BadRecord) as raised:
        list(read_source(path, FORMATS[format]))
    return str(raised.value).removeprefix(str(path))


def place(format, index):
    return f": line {index + 1}: " if format == "stepcoder" else f": record {index}: "


@every_format
def test_good_files_are_detected_and_read_plain_and_gzipped(write_records, format):
    for name in ("good.jsonl", "good.jsonl.gz"):
        path = write_records(GOOD[format], second(format), name=name)
        assert detect(path).name == format
        problems = list(read_source(path))
        assert len(problems) == 2
        assert problems == list(read_source(path, FORMATS[format]))


@pytest.mark.parametrize("format", [format for format in GOOD if format != "stepcoder"])
def test_a_bad_record_is_counted_and_the_others_are_read(write_records, format):
    """StepCoder's own files are not skipped in: `convert` wrote them."""
    path = write_records(GOOD[format], dict.fromkeys(GOOD[format]), second(format))
    skipped = Skipped()
    assert len(list(read_source(path, skipped=skipped))) == 2
    assert skipped.total == 1
    [[message]] = skipped.examples.values()
    assert place(format, 1) in message


@every_format
def test_lines_that_are_not_json_objects_are_named(write_records, format):
    path = write_records(GOOD[format], '{"a": ', name="bad.jsonl")
    assert error_message(path, format).startswith(place(format, 1) + "json: Expecting value")
    path = write_records(GOOD[format], "[1]", name="bad.jsonl")
    assert error_message(path, format).startswith(place(format, 1) + "record: ")


@every_format
def test_a_truncated_gzip_is_named(write_records, format):
    records = [GOOD[format] | {"other": number} for number in range(400)]
    path = write_records(*records, name="bad.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadRecord, match=r"bad\.jsonl\.gz: line \d+ or later: gzip: .*cut short"):
        for _ in read_source(path, FORMATS[format], skipped=Skipped()):
            pass


@every_format
def test_a_wrong_key_is_named(write_records, format):
    key = REQUIRED_KEY[format]
    wrong = {("misspelt_" + k if k == key else k): v for k, v in second(format).items()}
    message = error_message(write_records(GOOD[format], wrong, name="bad.jsonl"), format)
    assert message.startswith(place(format, 1))
    assert key in message


@every_format
def test_a_huge_record_is_refused_unread(write_records, format, monkeypatch):
    monkeypatch.setattr("curriculum.datasets.jsonl.MAX_RECORD_BYTES", 3000)
    path = write_records(GOOD[format], second(format) | {"x": "y" * 9000}, name="bad.jsonl")
    assert error_message(path, format).startswith(place(format, 1) + "record: longer than")


@every_format
def test_an_id_used_twice_is_named(write_records, format):
    path = write_records(GOOD[format], second(format), GOOD[format], name="bad.jsonl")
    assert ": id: an earlier record has it" in error_message(path, format)


@every_format
def test_tests_without_outputs_are_named(write_records, format):
    change, reason = WITHOUT_OUTPUTS[format]
    path = write_records(GOOD[format], second(format) | change, name="bad.jsonl")
    with pytest.raises(BadRecord, match=place(format, 1)[2:] + reason):
        list(read_source(path, FORMATS[format]))


@pytest.mark.parametrize("format", ["stepcoder", "apps_plus"])
def test_tests_of_mixed_styles_are_named(write_records, format):
    """Arguments beside stdin, in one problem."""
    change = (
        {"tests": [{"input": [1], "output": 1}, {"input": "1\n", "output": "1\n"}]}
        if format == "stepcoder"
        else {"inputs": [[1], "1\n"], "outputs": [1, "1\n"]}
    )
    path = write_records(GOOD[format], second(format) | change, name="bad.jsonl")
    message = error_message(path, format)
    assert message.startswith(place(format, 1) + "tests: ")
    assert "tests[1].input must be a list of arguments, not str" in message


@pytest.mark.parametrize("other", [format for format in GOOD if format != "mbpp"])
def test_a_record_of_another_format_is_named(write_records, other):
    path = write_records(MBPP, GOOD[other], name="bad.jsonl")
    assert error_message(path, "mbpp").startswith(": record 1: ")
