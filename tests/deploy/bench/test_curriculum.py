"""The benchmark in small: its file, its streams, its figures. No time is judged."""

import ast

import pytest

from curriculum.problem import TIERS, BadRecord, read_problems
from curriculum.start_points import START_POINT_KINDS
from curriculum.subtask import solution_points, stage_count
from deploy.bench.curriculum import (
    BLOCKS,
    bench_file,
    load_cut_vs_bare_parse,
    loaded,
    measure,
    parsed,
    peak_memory,
)

KINDS = frozenset(START_POINT_KINDS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


def test_the_file_is_made_once_and_decided_by_its_seed(cache, tmp_path):
    path = bench_file(60, cache)
    written = path.stat()
    assert bench_file(60, cache).stat().st_mtime_ns == written.st_mtime_ns
    assert bench_file(60, tmp_path).read_bytes() == path.read_bytes()
    assert len({problem.id for problem in read_problems(path)}) == 60
    assert {problem.difficulty for problem in read_problems(path)} == set(TIERS)


def test_both_streams_go_through_the_whole_file(cache):
    path = bench_file(60, cache)
    tasks, trees = list(loaded(path)), list(parsed(path))
    for task, tree, problem in zip(tasks, trees, read_problems(path), strict=True):
        assert task.problem == problem
        assert task.stage == stage_count(len(solution_points(problem, KINDS))) - 1 >= 0
        assert task.prefix + task.remainder == problem.canonical_solution
        assert ast.dump(tree) == ast.dump(ast.parse(problem.canonical_solution))


def test_loading_validates(cache, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(bench_file(60, cache).read_bytes().replace(b'"bench"', b"5", 1))
    with pytest.raises(BadRecord, match="line 1: source"):
        list(loaded(path))


def test_every_figure_is_measured_over_everything(cache):
    figures = {one.name: one for one in measure(410, 2_050, cache, lambda _: None)}
    assert list(figures) == [
        "load_cut_vs_bare_parse", "peak_memory_mb",
        "observe_us", "observe_none_us", "observe_linear_us", "observe_adaptive_us",
    ]  # fmt: skip
    assert len(figures["load_cut_vs_bare_parse"].samples) == BLOCKS
    assert all(one.value > 0 for one in figures.values())


def test_a_file_of_another_length_is_no_measurement(cache):
    with pytest.raises(AssertionError, match="more than 40 problems"):
        load_cut_vs_bare_parse(bench_file(60, cache), 40)


def test_memory_is_measured_in_a_process_of_its_own(cache):
    ballast = bytearray(64 << 20)
    figure = peak_memory(bench_file(60, cache), bench_file(60, cache), 60)
    assert 5 < figure.value < len(ballast) / 1e6 + 40
    assert len(figure.samples) == 3
    assert figure.target == pytest.approx(1.05 * figure.value, rel=0.1)
