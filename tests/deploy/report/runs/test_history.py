"""Runs are read whatever their state, grouped by what differs, and refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.errors import ConfigError
from deploy.report.runs.groups import differences, group_differences, group_runs
from deploy.report.runs.history import RunHistory
from tests.deploy.report.runs.made_runs import write_run


def test_a_run_under_way_is_read_without_a_line_that_is_being_written(tmp_path: Path) -> None:
    root = write_run(tmp_path / "live", steps=7, finished=False)
    with (root / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "rew')
    run = RunHistory.read(root)
    assert (run.step, run.planned_steps, run.result) == (7, 14, None)
    assert run.suites == ["heldout"]
    assert [step for step, _ in run.column("reward")] == list(range(1, 8))
    assert [step for step, _ in run.evaluated("heldout", "pass_at_1/overall")] == [0]


def test_runs_that_differ_in_their_seeds_are_one_group_with_a_band(tmp_path: Path) -> None:
    roots = [write_run(tmp_path / f"fgo-seed{n}", seed=n, steps=6) for n in (1, 2, 3)]
    roots.append(write_run(tmp_path / "none", seed=1, steps=6, learner={"mask": "none"}))
    runs = [RunHistory.read(root) for root in roots]
    of_seeds, alone = groups = group_runs(runs)
    assert [group.label for group in groups] == ["fgo, 3 seeds", "none"]
    curve = of_seeds.column("reward")
    assert curve is not None
    assert curve.low is not None
    assert curve.high is not None
    for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True):
        assert low < mean < high
    single = alone.column("reward")
    assert single is not None
    assert single.low is None
    assert alone.column("learner/nothing") is None
    assert group_differences(groups) == [("learner.mask", ["fgo", "none"])]
    assert differences(runs[:2]) == [("seed", [1, 2])]
    copy = RunHistory.read(write_run(tmp_path / "fgo-copy", seed=1, steps=6))
    assert [group.label for group in group_runs([runs[0], copy])] == ["fgo, 2 runs"]


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    roots = [
        write_run(tmp_path / folder / "run", steps=2, learner={"mask": mask})
        for folder, mask in (("a", "fgo"), ("b", "none"))
    ]
    labels = [group.label for group in group_runs([RunHistory.read(root) for root in roots])]
    assert labels == [f"run ({root})" for root in roots]


def test_a_folder_without_a_run_and_a_broken_file_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run there \(no config.yaml\)"):
        RunHistory.read(tmp_path)
    root = write_run(tmp_path / "run", steps=2)
    for line, reason in (
        ("no JSON", "line 1: Expecting value"),
        ('{"step": 1, "learner/kl": NaN}', "line 1: NaN is not a finite number"),
        ('{"step": 1}\n[1]', "line 2: not an object with a step"),
        ('{"step": 1}\n{"step": 2, "re\n{"step": 3}', "line 2: "),
        ('{"step": 1, "reward": "high"}', "step 1: reward is 'high'"),
        ('{"step": 1, "reward": 1e999}', "step 1: reward is inf"),
    ):
        _refused(root, "metrics.jsonl", f"{line}\n", reason)
    for text, reason in (
        ("{}", "no number seconds.total"),
        ('{"seconds": {"total": 3}, "git_commit": 5}', "git_commit is 5"),
    ):
        _refused(root, "result.json", text, reason)
    _refused(root, "config.yaml", "loop: {steps: many}", "loop.steps is 'many'")
    counted = '{"step": 1, "suite": "heldout", "problems": {"a": 3}}\n'
    _refused(root, "evaluations.jsonl", counted, "line 1: problems.a: ")
    counts = '"digest": "d", "samples": 2, "passed": 3, "judged": 2'
    for tier, reason in (("easy", ".tier: Input should be"), ("interview", ": Value error, 3 pas")):
        counted = f'{{"a": {{"tier": "{tier}", {counts}}}}}'
        counted = f'{{"step": 1, "suite": "heldout", "problems": {counted}}}\n'
        _refused(root, "evaluations.jsonl", counted, f"line 1: problems.a{reason}")
    first = '{"step": 0, "problems": {"a": ["interview", 2, 1]}}\n'
    for line, reason in (
        ('{"step": 1, "stages": {}, "asked": []}', "line 1: problems: Field required"),
        ('{"step": 0, "problems": {}}', "line 1: problems: Dictionary should have at least 1"),
        (first.replace("interview", "easy").strip(), "line 1: problems.a.0: Input should be"),
        (first + '{"step": 1, "stages": {"b": 0}}', "line 2: no problem b in line 1"),
        (first + first.strip(), "line 2: stages: Field required"),
        (first + '{"step": 1, "stages": {"a": "0"}}', "line 2: stages.a: "),
    ):
        _refused(root, "curriculum.jsonl", f"{line}\n", reason)
    (root / "settings.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"of an evaluation, not of a run; `stepcoder inspect`"):
        RunHistory.read(root)


def _refused(root: Path, name: str, text: str, reason: str) -> None:
    """The run with another content of one of its files."""
    path = root / name
    before = path.read_text() if path.exists() else None
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(f"{name}: not written by a run: {reason}")):
        RunHistory.read(root)
    if before is None:
        path.unlink()
    else:
        path.write_text(before)
