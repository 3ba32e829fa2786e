import gzip
import json

import pytest

from curriculum.config import DataConfig
from curriculum.datasets.load import load_dataset
from curriculum.datasets.problem_file import write_problems
from curriculum.errors import UnusableData
from curriculum.problem import Assertions


def test_synthetic_sets_share_no_question_and_no_id():
    train, heldout = load_dataset(DataConfig(train_per_tier=30, heldout_per_tier=30))
    assert len(train) == len(heldout) == 90
    assert len({problem.question for problem in train + heldout}) == 180
    assert len({problem.id for problem in train + heldout}) == 180


def test_heldout_problems_do_not_depend_on_the_training_set():
    small = load_dataset(DataConfig(train_per_tier=2, heldout_per_tier=3))
    large = load_dataset(DataConfig(train_per_tier=9, train_seed=5, heldout_per_tier=3))
    assert small.heldout == large.heldout


def test_training_problems_never_repeat_heldout_ones_of_the_same_seed():
    config = DataConfig(train_per_tier=5, heldout_per_tier=5, train_seed=2, heldout_seed=2)
    train, heldout = load_dataset(config)
    assert not {p.question for p in train} & {p.question for p in heldout}


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_stepcoder_files_are_read(tmp_path, make_problem, ending):
    paths = {
        "train_path": tmp_path / f"train.{ending}",
        "heldout_path": tmp_path / f"heldout.{ending}",
    }
    for number, path in enumerate(paths.values()):
        write_problems(path, [make_problem(number)])
        if ending == "jsonl.gz":
            path.write_bytes(gzip.compress(path.read_bytes()))
    train, heldout = load_dataset(DataConfig(kind="jsonl", **paths))
    assert (train, heldout) == ([make_problem(0)], [make_problem(1)])


OTHERS = {
    "apps_plus": [
        {"question": "q", "solution": "f = abs", "inputs": [[1]], "outputs": [1], "level": "x"}
    ],
    "mbpp": {"task_id": 1, "text": "q", "code": "f = abs", "test_list": ["assert f(1) == 1"]},
}


@pytest.mark.parametrize("format", [*OTHERS, "apps"])
def test_another_data_set_is_refused_with_the_command_that_converts_it(tmp_path, format):
    path = tmp_path / "other"
    if format == "apps":
        (path / "0001").mkdir(parents=True)
        (path / "0001" / "question.txt").write_text("q")
    else:
        path.write_text(json.dumps(OTHERS[format]))
    config = DataConfig(kind="jsonl", train_path=path, heldout_path=path)
    with pytest.raises(UnusableData, match=f"stepcoder data convert {path} -o problems.jsonl"):
        load_dataset(config)


def test_a_broken_stepcoder_file_is_named_with_its_key_and_another_remedy(tmp_path, make_problem):
    path = tmp_path / "ours.jsonl"
    write_problems(path, [make_problem(0)])
    with path.open("a") as file:
        file.write("{")
    message = r"^data\.train_path .*line 2: json: .*; correct that record, .* --skip-bad`$"
    with pytest.raises(UnusableData, match=message):
        load_dataset(DataConfig(kind="jsonl", train_path=path, heldout_path=path))


@pytest.mark.parametrize(
    ("heldout", "message"),
    [
        ({"number": 0, "question": "else"}, "heldout_path share the id 'p0'; remove it from one"),
        ({"number": 1, "question": "# question 0"}, "'p0' asks the same as held-out problem 'p1'"),
    ],
)
def test_problems_in_both_files_are_refused(tmp_path, make_problem, heldout, message):
    write_problems(tmp_path / "train.jsonl", [make_problem(0)])
    write_problems(tmp_path / "heldout.jsonl", [make_problem(**heldout)])
    config = DataConfig(
        kind="jsonl", train_path=tmp_path / "train.jsonl", heldout_path=tmp_path / "heldout.jsonl"
    )
    with pytest.raises(ValueError, match=message):
        load_dataset(config)


def test_an_absent_file_is_refused_with_its_key_and_the_remedy(tmp_path):
    path = tmp_path / "absent.jsonl"
    message = rf"data\.train_path {path}: No such file or directory; expected .*data convert"
    with pytest.raises(UnusableData, match=message):
        load_dataset(DataConfig(kind="jsonl", train_path=path, heldout_path=path))


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    path = tmp_path / "empty.jsonl"
    with pytest.raises(
        ValueError, match=r"data\.train_path .*empty\.jsonl: no problems in it; expected"
    ):
        load_dataset(DataConfig(kind="jsonl", train_path=path, heldout_path=path))


def test_a_folder_or_a_damaged_file_is_refused_with_its_key(tmp_path, make_problem):
    good, damaged = tmp_path / "good.jsonl", tmp_path / "damaged.jsonl.gz"
    write_problems(good, [make_problem(0)])
    damaged.write_bytes(gzip.compress(good.read_bytes())[:-9])
    (tmp_path / "folder").mkdir()
    for path, reason in (
        (tmp_path / "folder", "is a folder; expected"),
        (damaged, "damaged or cut short"),
    ):
        config = DataConfig(kind="jsonl", train_path=good, heldout_path=path)
        with pytest.raises(UnusableData, match=rf"^data\.heldout_path {path}: .*{reason}"):
            load_dataset(config)


CODE = Assertions(statements=("assert f(1) == 1",))


def jsonl_config(tmp_path, train, heldout, **settings):
    write_problems(tmp_path / "train.jsonl", train)
    write_problems(tmp_path / "heldout.jsonl", heldout)
    paths = {f"{part}_path": tmp_path / f"{part}.jsonl" for part in ("train", "heldout")}
    return DataConfig(kind="jsonl", **paths, **settings)


def test_training_leaves_out_tests_that_are_code_unless_asked_and_evaluation_uses_them(
    tmp_path, make_problem, caplog
):
    code = make_problem(1, assertions=CODE, tests=())
    heldout = [make_problem(2, assertions=CODE, tests=())]
    config = jsonl_config(tmp_path, [make_problem(0), code], heldout)
    assert load_dataset(config) == ([make_problem(0)], heldout)
    assert "left out 1 of 2 training problems, whose tests are code" in caplog.text
    assert "data.untrusted_tests train" in caplog.text
    config = jsonl_config(tmp_path, [make_problem(0), code], heldout, untrusted_tests="train")
    assert load_dataset(config).train == [make_problem(0), code]


def test_a_training_set_of_tests_that_are_code_alone_is_refused_with_the_remedy(
    tmp_path, make_problem
):
    code = make_problem(0, assertions=CODE, tests=())
    config = jsonl_config(tmp_path, [code], [make_problem(1)])
    with pytest.raises(UnusableData, match=r"all 1 problems are code.*data\.untrusted_tests train"):
        load_dataset(config)


@pytest.mark.parametrize("form", ["list", "pretty", "mark"])
def test_our_own_form_may_be_a_json_list_and_have_a_byte_order_mark(tmp_path, make_problem, form):
    config = jsonl_config(tmp_path, [make_problem(0), make_problem(1)], [make_problem(2)])
    assert config.train_path is not None
    lines = config.train_path.read_text().splitlines()
    records = [json.loads(line) for line in lines]
    text = {
        "list": json.dumps(records),
        "pretty": json.dumps(records, indent=4),
        "mark": "\ufeff" + "\n".join(lines),
    }[form]
    config.train_path.write_text(text)
    assert load_dataset(config).train == [make_problem(0), make_problem(1)]
