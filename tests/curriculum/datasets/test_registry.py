import pytest

from curriculum.datasets.problem_file import write_problems
from curriculum.datasets.registry import FORMATS, Skipped, detect, read_source
from curriculum.errors import BadRecord, CurriculumError, UnusableData
from tests.curriculum.datasets.formats.test_mbpp import MBPP
from tests.curriculum.datasets.test_every_format import APPS_PLUS


def test_every_format_has_a_description_and_the_one_that_takes_any_file_is_tried_last():
    assert [name for name, format in FORMATS.items() if not format.description] == []
    assert list(FORMATS)[-1] == "apps_plus"


def test_stepcoder_files_are_detected_and_read(tmp_path, make_problem):
    write_problems(tmp_path / "own.jsonl", [make_problem(0), make_problem(1)])
    assert detect(tmp_path / "own.jsonl").name == "stepcoder"
    assert [p.id for p in read_source(tmp_path / "own.jsonl")] == ["p0", "p1"]


UNKNOWN = {f"key {number}": "x" for number in range(30)}
GUESS = (
    r"record 0: keys: no format recognised \['key 0', .*'key 5', \.\.\.\]; read as apps_plus, "
    r"question is missing \(accepted: question, .*\); --format NAME chooses another format"
)


@pytest.mark.parametrize("records", [[UNKNOWN], [UNKNOWN, UNKNOWN], ["[", UNKNOWN, "]"]])
def test_an_error_about_an_unrecognised_file_names_its_keys_and_the_guess(write_records, records):
    with pytest.raises(BadRecord, match=GUESS):
        list(read_source(write_records(*records)))


def test_records_that_no_format_recognises_are_counted_under_their_keys(write_records):
    skipped = Skipped()
    path = write_records(UNKNOWN, UNKNOWN)
    assert list(read_source(path, detect(path), skipped=skipped)) == []
    assert skipped.counts == {"keys": 2}


def test_only_a_guessed_format_is_doubted_and_only_until_a_record_fits(write_records):
    with pytest.raises(BadRecord, match=r"record 0: question: missing \(accepted"):
        list(read_source(write_records(UNKNOWN, UNKNOWN), FORMATS["apps_plus"]))
    with pytest.raises(BadRecord, match=r"record 1: question: missing \(accepted"):
        list(read_source(write_records(APPS_PLUS, UNKNOWN)))


def test_lines_that_are_not_records_are_counted_and_the_next_are_read(write_records, monkeypatch):
    monkeypatch.setattr("curriculum.datasets.jsonl.MAX_RECORD_BYTES", 2000)
    path = write_records(MBPP, "no json", "[1]", "", "x" * 2500, "y" * 9000, MBPP)
    skipped = Skipped()
    assert len(list(read_source(path, skipped=skipped))) == 1
    assert skipped.counts == {"json": 1, "record": 3, "id": 1}
    assert "record 2: record: must be a JSON object, not list" in skipped.examples["record"][0]
    assert "record 3: record: longer than" in skipped.examples["record"][1]


def test_a_truncated_gzip_is_an_error_even_where_bad_records_are_skipped(write_records):
    path = write_records(*[MBPP | {"task_id": i} for i in range(300)], name="data.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadRecord, match=r"line \d+ or later: gzip: damaged or cut short"):
        list(read_source(path, skipped=Skipped()))


def test_an_id_used_twice_is_refused(write_records):
    with pytest.raises(BadRecord, match=r"'mbpp/7'.*an earlier record has it"):
        list(read_source(write_records(MBPP, MBPP)))


def test_only_the_chosen_tiers_are_read(write_records):
    path = write_records(MBPP)
    assert list(read_source(path, tiers=["competition"])) == []
    assert len(list(read_source(path, tiers=["introductory"]))) == 1


def test_a_split_of_a_format_without_splits_is_refused(write_records):
    with pytest.raises(CurriculumError, match="'mbpp' has no splits; only apps has"):
        list(read_source(write_records(MBPP), split="train"))


def test_folders_without_problems_and_missing_files_are_named(tmp_path):
    with pytest.raises(UnusableData, match=r"is a folder; expected a file, .* \*/question\.txt"):
        detect(tmp_path)
    with pytest.raises(FileNotFoundError):
        detect(tmp_path / "absent.jsonl")


def test_records_are_read_one_at_a_time(write_records):
    path = write_records(*[MBPP | {"task_id": i} for i in range(5)], "no json")
    reading = read_source(path)
    assert [next(reading).id for _ in range(5)] == [f"mbpp/{i}" for i in range(5)]
    with pytest.raises(BadRecord, match="record 5"):
        next(reading)
