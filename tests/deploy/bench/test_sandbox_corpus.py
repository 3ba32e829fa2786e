"""The benchmark's programs: real data where it is present, else the bundled generator's."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.bench.sandbox.corpus import bench_corpus
from sandbox import Outcome, Sandbox, SandboxConfig


def test_without_real_data_the_corpus_is_synthetic(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STEPCODER_DATA", str(tmp_path))
    corpus = bench_corpus()
    assert corpus.name == "bundled generator"
    assert len(corpus.jobs) == 102
    assert len({job.id for job in corpus.jobs}) == 102
    with Sandbox(SandboxConfig(backend="process"), run="corpus") as sandbox:
        outcomes = {sandbox.run(job).outcome for job in corpus.jobs[::10]}
    assert outcomes == {Outcome.passed}


def test_with_real_data_the_corpus_names_its_parts() -> None:
    corpus = bench_corpus()
    if "HumanEval" not in corpus.name:
        pytest.skip("HumanEval is absent; point STEPCODER_DATA at a folder that has it")
    assert corpus.name == "HumanEval (147, as calls) and APPS samples (5)"
    assert len(corpus.jobs) == 152
    assert sum(len(job.tests) for job in corpus.jobs) == 1046
