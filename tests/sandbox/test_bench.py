"""The benchmark's own arithmetic, and its long run in small."""

import pytest

from sandbox.bench import count, ratio
from sandbox.bench_corpus import TESTS_PER_PROGRAM, corpus
from sandbox.bench_rivals import DRIVER
from sandbox.comparison import same_value


def test_ratios_reach_their_targets_from_the_right_side():
    assert ratio("a", [1, 9, 2], "b", 2, 3).value == 2
    assert ratio("a", [1, 9, 2], "b", 2, 3).ok
    assert not ratio("a", [1, 9, 1.9], "b", 2, 3).ok
    assert ratio("a", [1.0, 1.1], "b", 1.08, 1, lower=True).ok
    assert not ratio("a", [1.1, 1.1], "b", 1.08, 1, lower=True).ok


def test_counts_must_be_many_or_none():
    assert count("a", 60, "x", at_least=60).ok
    assert not count("a", 59, "x", at_least=60).ok
    assert count("a", 0, "x", at_least=None).ok
    assert count("a", -1, "x", at_least=None).ok
    assert not count("a", 1, "x", at_least=None).ok


def test_the_rivals_run_the_same_programs():
    space = {}
    exec(DRIVER, space)
    for job in corpus():
        outputs = space["run"]({"source": job.source, "inputs": [t.input for t in job.tests]})
        assert len(outputs) == TESTS_PER_PROGRAM
        assert all(map(same_value, [test.output for test in job.tests], outputs))


@pytest.mark.docker
def test_a_short_soak_loses_nothing():
    from sandbox.soak import soak

    seen = soak(300, seed=5)
    assert seen.kills > 0
    assert (seen.lost, seen.duplicated, seen.wrong) == (0, 0, 0)
    assert seen.fd_drift <= 25, "more than the docker client's pool of connections"
