"""The curriculum's benchmark on a small file; no time is judged."""

import ast

import pytest

from curriculum.datasets.problem_file import read_problems
from curriculum.errors import BadRecord
from curriculum.problem import TIERS
from curriculum.start_points import START_POINT_KINDS
from curriculum.subtask import solution_points, stage_count
from deploy.bench.curriculum import measure as curriculum_benchmark
from deploy.bench.curriculum.measure import (
    BLOCKS,
    bare_parse,
    load_and_cut,
    load_cut_vs_bare_parse,
    measure,
    peak_memory,
    problem_file,
)

KINDS = frozenset(START_POINT_KINDS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


def test_the_file_is_written_once_and_determined_by_its_seed(cache, tmp_path):
    path = problem_file(60, cache)
    written = path.stat()
    assert problem_file(60, cache).stat().st_mtime_ns == written.st_mtime_ns
    assert problem_file(60, tmp_path).read_bytes() == path.read_bytes()
    assert len({problem.id for problem in read_problems(path)}) == 60
    assert {problem.difficulty for problem in read_problems(path)} == set(TIERS)


def test_both_streams_read_the_whole_file(cache):
    path = problem_file(60, cache)
    tasks, trees = list(load_and_cut(path)), list(bare_parse(path))
    for task, tree, problem in zip(tasks, trees, read_problems(path), strict=True):
        assert task.problem == problem
        assert task.stage == stage_count(len(solution_points(problem, KINDS))) - 1 >= 0
        assert task.prefix + task.remainder == problem.solution
        assert ast.dump(tree) == ast.dump(ast.parse(problem.solution))


def test_loading_refuses_an_invalid_record(cache, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(problem_file(60, cache).read_bytes().replace(b'"bench"', b"5", 1))
    with pytest.raises(BadRecord, match="line 1: source"):
        list(load_and_cut(path))


def test_every_figure_is_measured(cache, monkeypatch):
    monkeypatch.setattr(curriculum_benchmark, "OBSERVED_PROBLEMS", 200)
    monkeypatch.setattr(curriculum_benchmark, "OBSERVATIONS_AT_A_TIME", 100)
    monkeypatch.setattr(curriculum_benchmark, "MEMORY_ROUNDS", 1)
    figures = {figure.name: figure for figure in measure(410, 250, cache)}
    assert list(figures) == [
        "load_cut_vs_bare_parse", "peak_memory_mb",
        "observe_us", "observe_none_us", "observe_linear_us", "observe_adaptive_us",
    ]  # fmt: skip
    assert len(figures["load_cut_vs_bare_parse"].samples) == BLOCKS
    assert all(figure.value > 0 for figure in figures.values())


def test_a_file_of_another_length_is_refused(cache):
    with pytest.raises(AssertionError, match="more than 40 problems"):
        load_cut_vs_bare_parse(problem_file(60, cache), 40)


def test_memory_is_measured_in_a_process_of_its_own(cache):
    ballast = bytearray(64 << 20)
    figure = peak_memory(problem_file(60, cache), problem_file(60, cache), 60)
    assert 5 < figure.value < len(ballast) / 1e6 + 40
    assert len(figure.samples) == 3
    assert figure.target == pytest.approx(1.05 * figure.value, rel=0.1)
