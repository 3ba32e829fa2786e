import base64
import json
import os
import pickle
import zlib
from datetime import date

import pytest

from curriculum.datasets.reading.format import ReadOptions
from curriculum.datasets.registry import read_source
from curriculum.errors import BadRecord, UnusableData
from curriculum.problem import Test
from tests.curriculum.datasets.published import GOOD, packed

RECORD = GOOD["livecodebench"]


def test_public_and_compressed_private_tests_are_read(write_records):
    [problem] = read_source(write_records(RECORD))
    assert problem.tests == (Test(input="1\n", output="2\n"), Test(input="4\n", output="5\n"))
    assert (problem.id, problem.solution) == ("livecodebench/abc1_a", "")
    assert (problem.fn_name, problem.comparison) == (None, "close")
    assert problem.published == date(2024, 5, 1)


def test_a_record_without_a_date_is_read_and_is_in_no_window(write_records):
    path = write_records(RECORD | {"contest_date": None})
    [problem] = read_source(path)
    assert problem.published is None
    with pytest.raises(BadRecord, match="contest_date: missing"):
        list(read_source(path, options=ReadOptions(first_day=date(2024, 1, 1))))
    with pytest.raises(BadRecord, match="contest_date: 'May' is no date"):
        list(read_source(write_records(RECORD | {"contest_date": "May"})))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle_is_read(write_records, protocol):
    tests = json.dumps([{"input": "é", "output": "x" * 300, "testtype": "stdin"}])
    text = base64.b64encode(zlib.compress(pickle.dumps(tests, protocol))).decode()
    [problem] = read_source(write_records(RECORD | {"private_test_cases": text}))
    assert problem.tests[1].input == "é"


def test_private_tests_may_be_plain_json(write_records):
    plain = json.dumps([{"input": "7\n", "output": "8\n", "testtype": "stdin"}])
    [problem] = read_source(write_records(RECORD | {"private_test_cases": plain}))
    assert problem.tests[1].input == "7\n"


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (pickle.dumps(Hostile()), "more than a text"),
        (pickle.dumps(["[]"]), "more than a text"),
        (pickle.dumps(5), "more than a text"),
        (b"", "exhausted before"),
        (pickle.dumps("no json"), "Expecting value"),
        (pickle.dumps("[" * 100_000), "recursion"),
    ],
)
def test_a_pickle_that_holds_anything_but_text_is_refused_and_not_executed(
    write_records, tmp_path, monkeypatch, pickled, reason
):
    monkeypatch.chdir(tmp_path)
    text = base64.b64encode(zlib.compress(pickled)).decode()
    path = write_records(RECORD | {"private_test_cases": text})
    with pytest.raises(BadRecord, match=f"private_test_cases: cannot be unpacked: .*{reason}"):
        list(read_source(path))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("text", ["%%%", "eJwr", base64.b64encode(b"no zlib").decode()])
def test_damaged_private_tests_are_named(write_records, text):
    path = write_records(RECORD | {"private_test_cases": text})
    with pytest.raises(BadRecord, match="line 1: private_test_cases: cannot be unpacked"):
        list(read_source(path))


def test_private_tests_that_unpack_to_too_much_are_refused(write_records, monkeypatch):
    monkeypatch.setattr("curriculum.datasets.formats.livecodebench.MAX_TEST_BYTES", 1000)
    large = packed([{"input": "x" * 5000, "output": "", "testtype": "stdin"}])
    path = write_records(RECORD | {"private_test_cases": large})
    with pytest.raises(BadRecord, match="longer than"):
        list(read_source(path))


def test_functional_tests_call_the_method_that_the_metadata_names(write_records):
    tests = [{"input": '[1, 2]\n"a"', "output": "[2, 1]", "testtype": "functional"}]
    record = RECORD | {
        "metadata": '{"func_name": "rev"}',
        "starter_code": "class Solution:\n    def rev(self, xs, s):\n        ",
        "public_test_cases": json.dumps(tests),
        "private_test_cases": packed(tests),
    }
    [problem] = read_source(write_records(record))
    assert problem.fn_name == "rev"
    assert problem.tests[0] == Test(input=[[1, 2], "a"], output=[2, 1])
    assert "from typing import *" in problem.preamble


def test_a_date_window_includes_both_days(write_records):
    days = ["2024-04-30", "2024-05-01", "2024-05-31", "2024-06-01"]
    records = [RECORD | {"question_id": day, "contest_date": f"{day}T20:00:00"} for day in days]
    options = ReadOptions(first_day=date(2024, 5, 1), last_day=date(2024, 5, 31))
    problems = read_source(write_records(*records), options=options)
    assert [p.id.partition("/")[2] for p in problems] == days[1:3]


def test_a_release_is_a_number_of_files(tmp_path, write_records):
    for number in (1, 2, 3):
        name = f"test{'' if number == 1 else number}.jsonl"
        write_records(RECORD | {"question_id": f"q{number}"}, name=name)
    expected = {"v1": "1", "v2": "12", "release_v3": "123", "v2_v3": "23", "latest": "123"}
    for release, numbers in expected.items():
        problems = read_source(tmp_path, options=ReadOptions(release=release))
        assert [p.id[-1] for p in problems] == list(numbers), release
    with pytest.raises(UnusableData, match=r"--release v5: .* has no test4\.jsonl"):
        list(read_source(tmp_path, options=ReadOptions(release="v5")))
    with pytest.raises(UnusableData, match="'five' is none of v1"):
        list(read_source(tmp_path, options=ReadOptions(release="five")))


def test_release_and_dates_belong_to_this_form_alone(write_records):
    path = write_records(GOOD["mbpp"])
    for options in (ReadOptions(release="v1"), ReadOptions(first_day=date(2024, 1, 1))):
        with pytest.raises(UnusableData, match=r"read as mbpp, which has no .*; livecodebench has"):
            list(read_source(path, options=options))
