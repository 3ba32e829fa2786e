"""Bad files of every form: each gives one clear error with file, record and field."""

import gzip
import json

import pytest

from curriculum.datasets.registry import Form, Skipped, read_source
from curriculum.errors import BadRecord

OURS = {
    "id": "a", "question": "q", "canonical_solution": "def f(x): return x", "fn_name": "f",
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
GOOD: dict[Form, dict] = {
    "ours": OURS, "apps_plus": APPS_PLUS, "mbpp": MBPP,
    "human_eval": HUMAN_EVAL, "leetcode": LEETCODE,
}  # fmt: skip
WITHOUT_TESTS: dict[Form, tuple[dict, str]] = {
    "ours": ({"tests": [{"input": [1]}]}, r"tests\.0\.output: Field required"),
    "apps_plus": ({"outputs": []}, "outputs: 0 outputs for 1 inputs"),
    "mbpp": ({"test_list": ["assert f(1)", "f(1)"]}, "test_list: "),
    "human_eval": ({"test": "def check(c):\n    c(1)\n"}, "test: "),
    "leetcode": ({"test": "def check(c):\n    c(1)\n"}, "test: "),
}
WRONG_KEY: dict[Form, str] = {
    "ours": "question", "apps_plus": "question", "mbpp": "text", "human_eval": "prompt",
    "leetcode": "completion",
}  # fmt: skip
every_form = pytest.mark.parametrize("form", GOOD)


def written(path, *records):
    text = "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def second(form):
    """Another good record of the form."""
    good = GOOD[form]
    return (
        good
        | ({"task_id": 2} if "task_id" in good else {"id": "b"})
        | ({"task_id": "other"} if isinstance(good.get("task_id"), str) else {})
    )


def complaint(path, form):
    with pytest.raises(BadRecord) as raised:
        list(read_source(path, form))
    return str(raised.value).removeprefix(str(path))


def nth(form, index):
    return f": line {index + 1}: " if form == "ours" else f": record {index}: "


@every_form
def test_good_files_are_read_plain_and_gzipped(tmp_path, form):
    for name in ("good.jsonl", "good.jsonl.gz"):
        path = written(tmp_path / name, GOOD[form], second(form))
        assert len(list(read_source(path, form))) == len(list(read_source(path))) == 2


@every_form
def test_what_is_not_json_is_named(tmp_path, form):
    path = written(tmp_path / "bad.jsonl", GOOD[form], '{"a": ')
    assert complaint(path, form).startswith(nth(form, 1) + "json: Expecting value")
    path = written(tmp_path / "bad.jsonl", GOOD[form], "[1]")
    assert complaint(path, form).startswith(nth(form, 1) + "record: ")


@every_form
def test_a_truncated_gzip_is_named(tmp_path, form):
    records = [GOOD[form] | {"other": number} for number in range(400)]
    path = written(tmp_path / "bad.jsonl.gz", *records)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadRecord, match=r"bad\.jsonl\.gz: line \d+ or later: gzip: .*cut short"):
        for _ in read_source(path, form, skipped=Skipped()):
            pass


@every_form
def test_a_wrong_key_is_named(tmp_path, form):
    key = WRONG_KEY[form]
    wrong = {("misspelt_" + k if k == key else k): v for k, v in second(form).items()}
    told = complaint(written(tmp_path / "bad.jsonl", GOOD[form], wrong), form)
    assert told.startswith(nth(form, 1))
    assert key in told


@every_form
def test_a_huge_record_is_refused_unread(tmp_path, form, monkeypatch):
    monkeypatch.setattr("curriculum.datasets.jsonl.MAX_RECORD_BYTES", 3000)
    path = written(tmp_path / "bad.jsonl", GOOD[form], second(form) | {"x": "y" * 9000})
    assert complaint(path, form).startswith(nth(form, 1) + "record: longer than")


@every_form
def test_a_doubled_id_is_named(tmp_path, form):
    path = written(tmp_path / "bad.jsonl", GOOD[form], second(form), GOOD[form])
    assert ": id: stood in an earlier record" in complaint(path, form)


@every_form
def test_tests_without_outputs_are_named(tmp_path, form):
    change, told = WITHOUT_TESTS[form]
    path = written(tmp_path / "bad.jsonl", GOOD[form], second(form) | change)
    with pytest.raises(BadRecord, match=nth(form, 1)[2:] + told):
        list(read_source(path, form))


@pytest.mark.parametrize("form", ["ours", "apps_plus"])
def test_tests_of_mixed_styles_are_named(tmp_path, form):
    """Arguments beside stdin, in one problem."""
    change = (
        {"tests": [{"input": [1], "output": 1}, {"input": "1\n", "output": "1\n"}]}
        if form == "ours"
        else {"inputs": [[1], "1\n"], "outputs": [1, "1\n"]}
    )
    path = written(tmp_path / "bad.jsonl", GOOD[form], second(form) | change)
    told = complaint(path, form)
    assert told.startswith(nth(form, 1) + "tests: ")
    assert "tests[1].input must be a list of arguments, not str" in told


@pytest.mark.parametrize("other", [form for form in GOOD if form != "mbpp"])
def test_records_of_mixed_forms_are_named(tmp_path, other):
    path = written(tmp_path / "bad.jsonl", MBPP, GOOD[other])
    assert complaint(path, "mbpp").startswith(": record 1: ")
