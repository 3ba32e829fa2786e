"""What every form reads and refuses: each bad file gives one error with file, record and field.

A new form joins these tests by an entry in each table of `published.py`.
"""

import gzip
import json
import re

import pyarrow
import pyarrow.parquet
import pytest

from curriculum.datasets.problem_file import read_problems, write_problems
from curriculum.datasets.registry import FORMATS, Skipped, detect, read_source
from curriculum.errors import BadRecord, UnusableData
from tests.curriculum.datasets.published import GOOD, OTHER_ID, REQUIRED_KEY, WITHOUT_OUTPUTS

BOM = b"\xef\xbb\xbf"
every_format = pytest.mark.parametrize("format", GOOD)
with_ids = pytest.mark.parametrize("format", [name for name in GOOD if OTHER_ID.get(name)])


def test_every_form_is_in_these_tests():
    for table in (GOOD, OTHER_ID, WITHOUT_OUTPUTS, REQUIRED_KEY):
        assert table.keys() == FORMATS.keys(), "add the form to the tables of published.py"


def second(format):
    """Another good record of the form."""
    return GOOD[format] | OTHER_ID[format]


def error_message(path, format):
    with pytest.raises(BadRecord) as raised:
        list(read_source(path, FORMATS[format]))
    return str(raised.value).removeprefix(str(path))


CONTAINERS = {
    "data.jsonl": lambda records: "".join(f"{json.dumps(r)}\n" for r in records).encode(),
    "data.json": lambda records: json.dumps(records).encode(),
    "pretty.json": lambda records: json.dumps(records, indent=2).encode(),
    "mark.jsonl": lambda records: BOM + CONTAINERS["data.jsonl"](records),
    "mark.json": lambda records: BOM + CONTAINERS["pretty.json"](records),
}


@pytest.fixture(scope="module")
def containers(tmp_path_factory):
    """Writes records in every container; returns the paths."""

    def write(records):
        folder = tmp_path_factory.mktemp("containers")
        for name, encode in CONTAINERS.items():
            (folder / name).write_bytes(encode(records))
            (folder / f"{name}.gz").write_bytes(gzip.compress(encode(records)))
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), folder / "data.parquet")
        return sorted(folder.iterdir())

    return write


@every_format
def test_every_container_gives_the_same_problems(containers, format, tmp_path):
    read = {}
    for path in containers([GOOD[format], second(format)]):
        assert detect(path).name == format, path
        problems = list(read_source(path))
        assert len(problems) == 2, path
        assert problems == list(read_source(path, FORMATS[format]))
        read[path.name] = [p.model_copy(update={"id": "", "source": ""}) for p in problems]
    assert len(read) == 2 * len(CONTAINERS) + 1
    first, *others = read.values()
    assert all(other == first for other in others)
    write_problems(tmp_path / "own.jsonl", problems)
    assert read_problems(tmp_path / "own.jsonl") == problems


@every_format
def test_a_bad_record_is_counted_wherever_it_stands(write_records, format):
    bad = dict.fromkeys(GOOD[format])
    for records in ([bad, GOOD[format], second(format)], [GOOD[format], bad, second(format)]):
        skipped = Skipped()
        assert len(list(read_source(write_records(*records), skipped=skipped))) == 2
        assert skipped.total == 1
        [[message]] = skipped.examples.values()
        assert f": line {records.index(bad) + 1}: " in message


@every_format
def test_a_first_line_that_is_cut_is_counted_like_any_other(write_records, format):
    cut = json.dumps(GOOD[format])[:-20]
    path = write_records(cut, GOOD[format], second(format))
    skipped = Skipped()
    assert len(list(read_source(path, skipped=skipped))) == 2
    assert skipped.counts == {"json": 1}
    with pytest.raises(BadRecord, match=r"data\.jsonl: line 1: json: "):
        list(read_source(path))


@every_format
def test_lines_that_are_not_json_objects_are_named(write_records, format):
    path = write_records(GOOD[format], '{"a": ', name="bad.jsonl")
    assert error_message(path, format).startswith(": line 2: json: Expecting value")
    path = write_records(GOOD[format], "[1]", name="bad.jsonl")
    assert error_message(path, format).startswith(": line 2: record: must be a JSON object")


@every_format
def test_a_truncated_gzip_is_named(write_records, format):
    records = [GOOD[format] | {"other": number} for number in range(400)]
    path = write_records(*records, name="bad.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadRecord, match=r"bad\.jsonl\.gz: line \d+ or later: gzip: .*cut short"):
        for _ in read_source(path, FORMATS[format], skipped=Skipped()):
            pass


@every_format
def test_a_renamed_key_is_named_with_the_form_and_the_remedy(write_records, format):
    key = REQUIRED_KEY[format]
    wrong = {("renamed" if k == key else k): v for k, v in second(format).items()}
    path = write_records(wrong, name="bad.jsonl")
    with pytest.raises(UnusableData) as raised:
        list(read_source(path))
    message = str(raised.value).removeprefix(str(path))
    assert message.startswith(": line 1: ")
    assert key in message.split(": missing; looks like ")[0]
    assert message.split("looks like ")[1].startswith(f"{format}, with the keys [")
    assert "--map FIELD=KEY" in message
    path = write_records(GOOD[format], wrong, name="bad.jsonl")
    message = error_message(path, format)
    assert message.startswith(": line 2: ")
    assert ("prompt" if format == "mbpp" else key) in message


@every_format
def test_no_message_has_pydantics_wording(write_records, format):
    """Each field in turn has a wrong type."""
    for key in GOOD[format]:
        for value in (None, 5, "x", [], {}, [1], {"a": 1}):
            path = write_records(GOOD[format] | {key: value}, name="bad.jsonl")
            try:
                list(read_source(path, FORMATS[format]))
            except BadRecord as error:
                message = str(error).removeprefix(str(path))
                assert not re.search(r"Input should|\bvalid |validation|pydantic", message)
                assert "\n" not in message


@every_format
def test_a_huge_record_is_refused_unread(write_records, format, monkeypatch):
    monkeypatch.setattr("curriculum.datasets.jsonl.MAX_RECORD_BYTES", 3000)
    path = write_records(GOOD[format], second(format) | {"x": "y" * 9000}, name="bad.jsonl")
    assert error_message(path, format).startswith(": line 2: record: longer than")


@with_ids
def test_an_id_used_twice_is_named(write_records, format):
    path = write_records(GOOD[format], second(format), GOOD[format], name="bad.jsonl")
    assert ": id: an earlier record has it" in error_message(path, format)


@every_format
def test_tests_without_outputs_are_named(write_records, format):
    change, reason = WITHOUT_OUTPUTS[format]
    path = write_records(GOOD[format], second(format) | change, name="bad.jsonl")
    with pytest.raises(BadRecord, match=f"line 2: {reason}"):
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
    assert message.startswith(": line 2: tests: ")
    assert "tests[1].input must be a list of arguments, not str" in message


@pytest.mark.parametrize("other", [format for format in GOOD if format != "mbpp"])
def test_a_record_of_another_form_is_named(write_records, other):
    path = write_records(GOOD["mbpp"], GOOD[other], name="bad.jsonl")
    assert error_message(path, "mbpp").startswith(": line 2: ")


@pytest.mark.parametrize(
    ("written", "name"),
    [("two_max()", "two_max"), ("Solution().climb", "climb"), (" Solution.climb() ", "climb")],
)
@pytest.mark.parametrize("format", ["stepcoder", "apps_plus", "human_eval", "leetcode"])
def test_a_function_name_that_calls_is_normalised(write_records, format, written, name):
    key = "entry_point" if "entry_point" in GOOD[format] else "fn_name"
    [problem] = read_source(write_records(GOOD[format] | {key: written}))
    assert problem.fn_name == name


@pytest.mark.parametrize("written", ["two max", "3sum", "Other().f", "class", "f.g", ""])
def test_a_text_that_can_be_no_function_name_is_refused(write_records, written):
    path = write_records(GOOD["stepcoder"] | {"fn_name": written})
    with pytest.raises(
        BadRecord, match=re.escape(f"fn_name: '{written}' is no name of a function")
    ):
        list(read_source(path))
