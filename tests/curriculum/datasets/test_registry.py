import json

import pytest

from curriculum.datasets.problem_file import write_problems
from curriculum.datasets.reading.format import ReadOptions
from curriculum.datasets.registry import FORMATS, Skipped, detect, read_source
from curriculum.datasets.template import TEMPLATE
from curriculum.errors import BadRecord, UnusableData
from curriculum.problem import Test
from tests.curriculum.datasets.formats.test_mbpp import MBPP
from tests.curriculum.datasets.published import GOOD


def test_every_format_has_a_description_and_the_one_that_takes_any_file_is_tried_last():
    assert [name for name, format in FORMATS.items() if not format.description] == []
    assert list(FORMATS)[-1] == "apps_plus"


def test_stepcoder_files_are_detected_and_read(tmp_path, make_problem):
    write_problems(tmp_path / "own.jsonl", [make_problem(0), make_problem(1)])
    assert detect(tmp_path / "own.jsonl").name == "stepcoder"
    assert [p.id for p in read_source(tmp_path / "own.jsonl")] == ["p0", "p1"]


UNKNOWN = {f"key {number}": "x" for number in range(30)}


@pytest.mark.parametrize("records", [[UNKNOWN], [UNKNOWN, UNKNOWN], ["[", UNKNOWN, "]"]])
def test_an_error_about_an_unrecognised_file_names_its_keys_and_the_remedy(write_records, records):
    message = (
        r"(line 1|record 1): no form has the keys \['key 0', .*'key 5', \.\.\.\]; "
        r"say which keys hold question, solution, tests: "
        r"--map question=KEY solution=KEY tests=KEY, or .*--format NAME"
    )
    with pytest.raises(UnusableData, match=message):
        list(read_source(write_records(*records), skipped=Skipped()))


@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize(
    ("change", "missing"),
    [({"query": "q"}, "question"), ({"identity": "a"}, "id"), ({"code": ""}, "solution")],
)
def test_our_own_form_with_a_key_missing_is_named_in_any_file(tmp_path, pretty, change, missing):
    record = {k: v for k, v in GOOD["stepcoder"].items() if k != missing} | change
    path = tmp_path / "own.json"
    path.write_text(json.dumps([record], indent=2 if pretty else None))
    with pytest.raises(UnusableData, match=f"record 1: {missing}: missing; looks like stepcoder"):
        list(read_source(path))


def test_the_first_recognised_record_gives_the_form(write_records):
    skipped = Skipped()
    path = write_records(UNKNOWN, "[", MBPP)
    assert [p.id for p in read_source(path, skipped=skipped)] == ["mbpp/7"]
    assert skipped.total == 2


MINE = {
    "prompt": {"text": "Add one.", "lang": "en"}, "meta": '{"level": "EASY"}', "uid": 7,
    "answers": ["def f(x):\n    return x + 1", "other"], "checks": ["assert f(1) == 2"],
}  # fmt: skip


def test_a_map_reads_any_record_by_paths(write_records):
    keys = {
        "question": "prompt.text", "solution": "answers.0", "tests": "checks", "id": "uid",
        "difficulty": "meta.level",
    }  # fmt: skip
    options = ReadOptions(keys=keys, levels={"easy": "introductory"})
    [problem] = read_source(write_records(MINE), options=options)
    assert (problem.id, problem.question, problem.fn_name) == ("7", "Add one.", "f")
    assert (problem.tests, problem.comparison) == ((Test(input=[1], output=2),), "exact")
    assert problem.difficulty == "introductory"


def test_a_level_without_a_tier_is_named_with_the_remedy(write_records):
    options = ReadOptions(levels={"easy": "introductory"})
    path = write_records(GOOD["apps_plus"] | {"difficulty": "HARD"})
    with pytest.raises(BadRecord, match=r"'HARD' is none of easy; .*--tiers HARD=interview"):
        list(read_source(path, options=options))


def test_a_map_gives_our_own_form_its_key(write_records):
    record = {("query" if k == "question" else k): v for k, v in GOOD["stepcoder"].items()}
    value = {"$tuple": [1]}
    path = write_records(record | {"tests": [{"input": [value], "output": value}]})
    [problem] = read_source(path, options=ReadOptions(keys={"question": "query"}))
    assert problem.tests == (Test(input=[(1,)], output=(1,)),)


@pytest.mark.parametrize("template", TEMPLATE, ids=lambda record: record["id"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_map_reads_every_field_of_our_own_form_as_it_is_read_without_one(
    write_records, template, nested
):
    record = template | {"source": "mine", "time_limit": 2.5}
    [expected] = read_source(write_records(record))
    if nested:
        record = record | {"question": None, "prompt": {"text": record["question"]}}
    keys = {"question": "prompt.text" if nested else "question"}
    assert list(read_source(write_records(record), options=ReadOptions(keys=keys))) == [expected]


CHECKED = {
    "id": "a", "prompt": {"text": "Print a number."}, "solution": "print(2)\n",
    "tests": [{"input": "", "output": "1\n"}],
}  # fmt: skip
CHECKER = "print('yes')\n"


@pytest.mark.parametrize(
    "checker", [CHECKER, {"source": CHECKER}, '{"source": "print(\'yes\')\\n"}']
)
@pytest.mark.parametrize("key", ["checker", "Checker", "judge"])
def test_a_checker_is_read_under_its_own_name_and_by_map(write_records, checker, key):
    keys = {"question": "prompt.text"} | ({"checker": "judge"} if key == "judge" else {})
    path = write_records(CHECKED | {key: checker, "time_limit": "500 ms"})
    [problem] = read_source(path, options=ReadOptions(keys=keys))
    assert problem.checker is not None
    assert (problem.checker.source, problem.time_limit) == (CHECKER, 0.5)


def test_a_checker_is_read_beside_the_usual_names_without_a_map(write_records):
    record = {"question": "q", "solution": "print(2)", "inputs": [""], "outputs": ["1"]}
    [problem] = read_source(write_records(record | {"checker": CHECKER, "time_limit": 3}))
    assert problem.checker is not None
    assert (problem.checker.source, problem.time_limit) == (CHECKER, 3)


def test_a_mapped_id_counts_before_the_id_that_the_document_gives(tmp_path, caplog):
    path = tmp_path / "mine.json"
    record = {key: value for key, value in CHECKED.items() if key != "id"}
    path.write_text(json.dumps({"k1": record | {"uid": 7}, "k2": record | {"uid": 8}}))
    for keys, ids in (({}, ["k1", "k2"]), ({"id": "uid"}, ["7", "8"])):
        options = ReadOptions(keys={"question": "prompt.text"} | keys)
        with caplog.at_level("INFO"):
            assert [problem.id for problem in read_source(path, options=options)] == ids
    assert caplog.messages[-1].endswith("keys not read: none")


def test_a_published_form_that_has_no_checker_gives_way_to_the_one_that_reads_it(write_records):
    record = GOOD["apps"] | {"judge": CHECKER}
    path = write_records(record)
    [problem] = read_source(path, options=ReadOptions(keys={"checker": "judge"}))
    assert problem.checker is not None
    with pytest.raises(UnusableData, match="checker=judge: has no effect: read as apps, nothing"):
        list(read_source(path, FORMATS["apps"], options=ReadOptions(keys={"checker": "judge"})))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tags": "id"}, "--map tags=id: has no effect: read as mapped, nothing uses a field"),
        (
            {"fn_name": "meta.f"},
            r"--map fn_name=meta.f: leads nowhere in each of 2 records; .*'id'",
        ),
        ({"inputs": "n", "tests": "tests"}, "--map inputs=n: has no effect"),
    ],
)
def test_a_map_without_effect_is_refused(write_records, keys, message):
    path = write_records(CHECKED | {"n": [1]}, CHECKED | {"id": "b", "n": [1]})
    with pytest.raises(UnusableData, match=message):
        list(read_source(path, options=ReadOptions(keys={"question": "prompt.text"} | keys)))


def test_a_field_that_a_map_places_is_not_read_from_elsewhere(write_records, caplog):
    level = {"meta": {"level": "competition"}}
    records = [CHECKED | level, CHECKED | {"id": "b", "difficulty": "interview"}]
    keys = {"question": "prompt.text", "difficulty": "meta.level"}
    with caplog.at_level("INFO"):
        problems = list(read_source(write_records(*records), options=ReadOptions(keys=keys)))
    assert [problem.difficulty for problem in problems] == ["competition", "introductory"]
    assert "difficulty=meta.level: leads nowhere in 1 of 2 records" in caplog.text
    assert "keys not read: 'difficulty' (1 of 2 records)" in caplog.text
    path = write_records(CHECKED, CHECKED | {"id": "b", "prompt": "Print."})
    with pytest.raises(BadRecord, match=r"question=prompt\.text leads nowhere in this record"):
        list(read_source(path, options=ReadOptions(keys={"question": "prompt.text"})))


def test_what_stands_in_a_test_and_is_not_read_is_counted(write_records, caplog):
    tests = [{"input": "", "output": "1\n", "kwarg": {}}]
    with caplog.at_level("INFO"):
        options = ReadOptions(keys={"question": "prompt.text"})
        assert list(read_source(write_records(CHECKED | {"tests": tests}), options=options))
    assert "keys not read: 'tests[].kwarg' (1 of 1 records)" in caplog.text


@pytest.mark.parametrize("keys", [{}, {"question": "question"}, {"difficulty": "level"}])
def test_levels_count_in_our_own_form_with_and_without_a_map(write_records, keys):
    record = GOOD["stepcoder"] | {"level" if "difficulty" in keys else "difficulty": "EASY"}
    if "difficulty" in keys:
        record.pop("difficulty", None)
    options = ReadOptions(keys=keys, levels={"easy": "competition"})
    [problem] = read_source(write_records(record), options=options)
    assert problem.difficulty == "competition"


def test_levels_that_no_record_has_are_refused(write_records):
    options = ReadOptions(keys={"question": "prompt.text"}, levels={"easy": "competition"})
    with pytest.raises(UnusableData, match="--tiers easy=competition: has no effect: no record"):
        list(read_source(write_records(CHECKED), options=options))


@pytest.mark.parametrize("tests", ["assert f(1) == 2", ["assert f(1) == 2"], {"inputs": [[1]]}])
def test_tests_of_another_shape_in_our_own_form_are_refused_with_the_remedy(write_records, tests):
    path = write_records(GOOD["stepcoder"] | {"tests": tests})
    with pytest.raises(BadRecord, match=r"tests: .*data convert` with --map tests=tests"):
        list(read_source(path))


TESTS = {
    "objects": [{"input": [1], "output": 2}, {"input": [2], "expected_output": 3}],
    "columns": {"inputs": [[1], [2]], "outputs": [2, 3]},
    "packed": '{"input": [[1], [2]], "output": [2, 3], "fn_name": "f"}',
    "calls": [
        {"type": "function_call", "fn_name": "f", "input": [1], "output": 2},
        {"type": "function_call", "fn_name": "f", "input": [2], "output": 3},
    ],
    "lines of values": [
        {"testtype": "functional", "metadata": {"func_name": "f"}, "input": "1", "output": "2"},
        {"testtype": "functional", "metadata": {"func_name": "f"}, "input": "2\n", "output": "3"},
    ],
    "asserts": ["assert f(1) == 2", "assert f(2) == 3"],
    "text of asserts": "assert f(1) == 2\nassert f(2) == 3\n",
    "check": "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(2) == 3\n",
}


@pytest.mark.parametrize("shape", TESTS)
def test_tests_in_any_shape_are_read_alike(write_records, shape):
    record = {
        "question": "q", "solution": "def f(x):\n    return x + 1", "fn_name": "f",
        "id": "a", "checks": TESTS[shape],
    }  # fmt: skip
    options = ReadOptions(keys={"tests": "checks"})
    [problem] = read_source(write_records(record), options=options)
    assert problem.tests == (Test(input=[1], output=2), Test(input=[2], output=3))
    assert problem.fn_name == "f"


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ({"type": "function_call"}, "missing; the tests say that they call a function"),
        ({"fn_name": "f"}, "the tests call several functions, or some call none"),
    ],
)
def test_tests_that_call_a_function_without_its_name_are_refused(write_records, test, reason):
    tests = [{"input": "1", "output": "2"}, {"input": "1", "output": "2"} | test]
    record = {"id": "a", "question": "q", "solution": "print(2)", "t": tests}
    with pytest.raises(BadRecord, match=rf"tests\.fn_name: {reason}"):
        list(read_source(write_records(record), options=ReadOptions(keys={"tests": "t"})))


@pytest.mark.parametrize("solution", ["```python\nprint(2)\n```", ["```\nprint(2)\n```\n"]])
def test_a_solution_stands_without_its_code_fence(write_records, solution):
    record = {
        "id": "a",
        "question": "q",
        "solutions": solution,
        "t": [{"input": "", "output": "2"}],
    }
    [problem] = read_source(write_records(record), options=ReadOptions(keys={"tests": "t"}))
    assert problem.solution == "print(2)\n"


@pytest.mark.parametrize(
    "tests",
    [
        "def test_f():\n    assert f(1) == 2\n",
        "from math import isclose\nassert isclose(f(1), 2)\n",
    ],
)
def test_tests_that_are_code_stay_code_in_any_record(write_records, tests):
    record = {"id": "a", "question": "q", "solution": "def f(x):\n    return x + 1", "t": tests}
    options = ReadOptions(keys={"tests": "t"})
    [problem] = read_source(write_records(record), options=options)
    assert problem.assertions is not None
    assert problem.fn_name == "f"


def test_a_folder_of_shards_is_read_by_split(tmp_path, write_records):
    write_records(MBPP, name="train-00000-of-00002.jsonl")
    write_records(MBPP | {"task_id": 8}, name="train-00001-of-00002.jsonl.gz")
    write_records(MBPP | {"task_id": 9}, name="test-00000-of-00001.jsonl")
    assert len(list(read_source(tmp_path))) == 3
    train = read_source(tmp_path, options=ReadOptions(split="train"))
    assert [p.id for p in train] == ["mbpp/7", "mbpp/8"]


def test_lines_that_are_not_records_are_counted_and_the_next_are_read(write_records, monkeypatch):
    monkeypatch.setattr("curriculum.datasets.jsonl.MAX_RECORD_BYTES", 2000)
    path = write_records(MBPP, "no json", "[1]", "", "x" * 2500, "y" * 9000, MBPP)
    skipped = Skipped()
    assert len(list(read_source(path, skipped=skipped))) == 1
    assert skipped.counts == {"json": 1, "record": 3, "id": 1}
    assert "line 3: record: must be a JSON object, not list" in skipped.examples["record"][0]
    assert "line 5: record: longer than" in skipped.examples["record"][1]


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


def test_a_split_of_one_file_is_refused(write_records):
    with pytest.raises(UnusableData, match="mbpp, which has no split"):
        list(read_source(write_records(MBPP), options=ReadOptions(split="train")))


def test_folders_without_problems_and_missing_files_are_named(tmp_path):
    with pytest.raises(UnusableData, match=r"is a folder; expected a file, .* \*/question\.txt"):
        detect(tmp_path)
    with pytest.raises(FileNotFoundError):
        detect(tmp_path / "absent.jsonl")


def test_records_are_read_one_at_a_time(write_records):
    path = write_records(*[MBPP | {"task_id": i} for i in range(5)], "no json")
    reading = read_source(path)
    assert [next(reading).id for _ in range(5)] == [f"mbpp/{i}" for i in range(5)]
    with pytest.raises(BadRecord, match="line 6"):
        next(reading)
