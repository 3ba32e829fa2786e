from pathlib import Path

import pytest

from curriculum.datasets.reading.record import RecordReader, without_tabs
from curriculum.errors import BadRecord
from curriculum.problem import Tier


def test_line_ends_become_newlines():
    record = RecordReader(Path("a.jsonl"), "record 0", {"text": "a\r\nb\rc\n"})
    assert record.text("text") == "a\nb\nc\n"


def test_a_missing_field_is_named_or_has_its_default():
    record = RecordReader(Path("a.jsonl"), "record 0", {})
    assert record.text("text", "none") == "none"
    with pytest.raises(BadRecord, match=r"a\.jsonl: record 0: text: missing"):
        record.text("text")


@pytest.mark.parametrize(
    "source",
    ["def f():\n\treturn '''\n\tx'''\n", "if 1:\n\tx = 1\n        y = 2\n", "x = '\t'\n"],
)
def test_tabs_stay_where_replacing_them_would_change_the_program(source):
    assert without_tabs(source) == source


def test_a_tier_is_graded_by_text_or_integer():
    levels: dict[str, Tier] = {"0": "introductory", "hard": "competition"}
    fields = {"zero": 0, "text": " Hard ", "empty": "", "other": 3}
    record = RecordReader(Path("a.jsonl"), "record 0", fields)
    assert record.tier("zero", levels, default="interview") == "introductory"
    assert record.tier("text", levels) == "competition"
    assert record.tier("empty", levels, default="interview") == "interview"
    with pytest.raises(BadRecord, match="other: 3 is none of 0, hard"):
        record.tier("other", levels, default="interview")
