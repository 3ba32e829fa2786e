"""Recorded rollouts: which groups, what of them, and files that are whole or absent."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pickle
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from actors.config import LoopConfig
from actors.errors import RunFailed
from actors.recording import rollout_log
from actors.recording.rollout_file import (
    StepRollouts,
    read_rollouts,
    recorded_steps,
    truncate_rollouts,
)
from actors.recording.rollout_log import RolloutLog, Writer
from actors.recording.writer import ThisProcess, WriterLost, WriterProcess
from actors.rewards.shipped import shipped_reward
from actors.rollout.round import JudgedGroup, JudgedSample, pack_detail
from actors.rollout.samples import Completion, RolloutGroup, Sample
from actors.training.trainer import Trainer
from curriculum.answer.assemble import assemble
from curriculum.prompt import Prompt
from curriculum.subtask import FULL_TASK, cut
from curriculum.synthetic.problems import synthetic_problems
from deploy.bench.fleet.fake_actors import steady_trainer
from learner.config import RewardConfig
from sandbox import Outcome, TestOutcome, TestResult, Verdict
from tests.clock import untimed

PROBLEMS = synthetic_problems(seed=3, per_tier=4)


def group(number: int, outcomes: Sequence[Outcome]) -> RolloutGroup:
    problem = PROBLEMS[number]
    prompt = Prompt((5, 6, 7), "", False, text="Solve this.")
    samples = []
    for at, outcome in enumerate(outcomes):
        text = f"def {problem.fn_name}(x):\n    return 'é\0\u2028</script>'\n"
        tests = (TestResult(TestOutcome.failed, "expected 1, got 2", output="2"),)
        completion = Completion(10 * number + at, (9,) * 4, (-0.25,) * 4, "stop", 3, seconds=0.5)
        sizes = (len(text.encode()) - 6, 3, 3, 0)
        verdict = Verdict("1", outcome, tests, error="\ud800 half a pair")
        program = assemble(problem, prompt, text)
        samples.append(Sample(10 * number + at, completion, program, text, sizes, verdict))
    return RolloutGroup(cut(problem, FULL_TASK, frozenset()), prompt, tuple(samples))


def judged(group: RolloutGroup) -> JudgedGroup:
    """The group as the driver has it, with rewards and details."""
    figures = (
        JudgedSample.of(s, shipped_reward(s, RewardConfig(), longest=9) if s.judged else None)
        for s in group.samples
    )
    packed = pack_detail(group.prompt, group.samples)
    return JudgedGroup(group.subtask, len(group.prompt.ids), tuple(figures), packed_detail=packed)


async def write(
    writer: Writer,
    groups: Sequence[RolloutGroup],
    record: int | None = None,
    deadline_s: float = 20,
) -> None:
    log = RolloutLog(writer, record, deadline_s)
    await log.write(7, log.choose([judged(each) for each in groups]), b"")
    await log.flush()
    await log.close()


def written(folder: Path, groups: Sequence[RolloutGroup], record: int | None = None) -> list[Any]:
    asyncio.run(write(ThisProcess(folder), groups, record))
    return [row for path in recorded_steps(folder) for row in read_rollouts(path)]


def test_a_group_is_recorded_whole_also_what_could_not_be_judged(tmp_path: Path) -> None:
    asked = group(0, [Outcome.passed, Outcome.infra_error])
    [row] = written(tmp_path, [asked])
    assert (row["step"], row["problem"]) == (7, asked.subtask.problem.id)
    assert [sample["reward"] for sample in row["samples"]] == [1.0, None]
    assert row["samples"][0]["reward_terms"] == {"outcome": 1.0}
    first = row["samples"][0]
    assert first["completion"] == asked.samples[0].text
    assert first["engine_logprobs"] == [-0.25] * 4
    assert first["results"] == [["failed", "expected 1, got 2", None, "2"]]
    assert first["learner"] is None
    assert (row["prompt"], first["generation_seconds"]) == ("Solve this.", 0.5)
    assert first["error"] == "\ud800 half a pair"
    assert len(row["tests"]) == len(asked.subtask.problem.tests)


def test_the_same_problems_are_chosen_in_every_step(tmp_path: Path) -> None:
    groups = [judged(group(number, [Outcome.passed])) for number in range(8)]
    log = RolloutLog(ThisProcess(tmp_path), 3, 20)
    chosen = log.choose(groups)
    assert len(chosen) == 3
    assert log.choose(groups[::-1]) == chosen[::-1]
    assert log.choose(chosen) == chosen
    assert RolloutLog(ThisProcess(tmp_path), 0, 20).choose(groups) == ()
    assert RolloutLog(ThisProcess(tmp_path), None, 20).choose(groups) == tuple(groups)


def test_equal_rollouts_give_equal_bytes(tmp_path: Path) -> None:
    groups = [group(1, [Outcome.failed])]
    written(tmp_path / "a", groups)
    written(tmp_path / "b", groups)
    files = [recorded_steps(tmp_path / name)[0].read_bytes() for name in "ab"]
    assert files[0] == files[1]


def test_another_process_writes_the_same_bytes_and_a_new_one_when_it_died(
    tmp_path: Path,
) -> None:
    groups = [group(1, [Outcome.failed, Outcome.passed])]
    written(tmp_path / "here", groups)
    writer = WriterProcess(tmp_path / "there")

    async def check() -> None:
        log = RolloutLog(writer, None, 60)
        await log.write(6, [judged(groups[0])], b"")
        await log.flush()
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        await log.write(7, [judged(groups[0])], b"")
        await log.flush()
        broken = replace(judged(groups[0]), packed_detail=pickle.dumps("no detail"))
        await log.write(8, [broken], b"")
        with pytest.raises(RuntimeError, match=r"Traceback[\s\S]*TypeError: RolloutGroup"):
            await log.flush()
        (tmp_path / "there").rename(tmp_path / "kept")
        (tmp_path / "there").touch()
        await log.write(9, [judged(groups[0])], b"")
        with pytest.raises(OSError, match="there"):
            await log.flush()
        await log.close()

    asyncio.run(check())
    assert writer.pid is None
    here, (_, there) = recorded_steps(tmp_path / "here"), recorded_steps(tmp_path / "kept")
    assert here[0].read_bytes() == there.read_bytes()


def test_a_step_that_waits_for_the_file_before_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(ThisProcess):
        def write(self, rollouts: StepRollouts) -> None:
            time.sleep(0.02)
            super().write(rollouts)

    async def check() -> None:
        log = RolloutLog(Slow(tmp_path), None, 20)
        for step in range(4):
            monkeypatch.setattr(rollout_log, "_LATE_S", 0.001 if step > 1 else 20)
            await log.write(step, [judged(group(1, [Outcome.failed]))], b"")
        await log.close()

    asyncio.run(check())
    assert [record.message[:14] for record in caplog.records] == ["step 2 waited "]
    assert len(recorded_steps(tmp_path)) == 4


class Dying:
    """A writer that ends over every file, or is silent."""

    def __init__(self, silent_s: float = 0.0) -> None:
        self.silent_s = silent_s
        self.calls = 0

    def write(self, rollouts: StepRollouts) -> None:
        self.calls += 1
        time.sleep(self.silent_s)
        raise WriterLost(f"over {len(rollouts.groups)} groups it ended with status -9")

    def close(self) -> None:
        pass


def test_a_writer_that_always_ends_or_says_nothing_ends_the_run() -> None:
    dying, silent = Dying(), Dying(0.3)
    with pytest.raises(RunFailed, match=r"step 7: over 1 groups it ended with status -9"):
        asyncio.run(write(dying, [group(1, [Outcome.passed])]))
    assert dying.calls == 3
    with pytest.raises(TimeoutError, match=r"the file of step 7 .* 0.1 s .*checkpoint_timeout_s"):
        asyncio.run(write(silent, [group(1, [Outcome.passed])], deadline_s=0.1))


@pytest.mark.parametrize("damage", ["torn", "empty", "old"])
def test_a_file_that_is_not_this_versions_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    written(tmp_path, [group(1, [Outcome.failed])])
    [path] = recorded_steps(tmp_path)
    content = path.read_bytes()
    old = gzip.compress(json.dumps({"step": 1}).encode() + b"\n")
    path.write_bytes({"torn": content[: len(content) // 2], "empty": b"", "old": old}[damage])
    with pytest.raises(RunFailed, match=r"step-000007\.jsonl\.gz: "):
        list(read_rollouts(path))


def test_resuming_removes_later_steps_and_what_a_crash_left(tmp_path: Path) -> None:
    for name in ("step-000002.jsonl.gz", "step-000003.jsonl.gz", "step-000003.jsonl.partial"):
        (tmp_path / name).touch()
    truncate_rollouts(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000002.jsonl.gz"]


@pytest.mark.parametrize("wrong", ["some", "groups", "groups 0", "groups -1", "3"])
def test_what_is_recorded_is_checked(wrong: str) -> None:
    with pytest.raises(ValidationError, match=r"not all, none, or groups N"):
        LoopConfig(record=wrong)


def test_recording_changes_no_figure_and_no_step_is_recorded_twice(tmp_path: Path) -> None:
    def run(record: str) -> Trainer:
        loop = LoopConfig(
            steps=5, prompts_per_step=2, eval_samples=1, checkpoint_every=2, record=record
        )
        made = steady_trainer(tmp_path / record, loop, 2, generate_s=0.0, learn_s=0.0)
        made.learner.lose_at = [3]  # type: ignore[attr-defined]
        asyncio.run(made.run())
        return made

    figures = {record: untimed(run(record).folder.step_rows()) for record in ("none", "all")}
    assert figures["none"] == figures["all"]
    assert recorded_steps(tmp_path / "none" / "rollouts") == []
    files = recorded_steps(tmp_path / "all" / "rollouts")
    rows = [row for path in files for row in read_rollouts(path)]
    assert [row["step"] for row in rows] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    samples = [sample for row in rows for sample in row["samples"]]
    assert all(len(s["learner"]["logprobs"]) == len(s["token_ids"]) for s in samples)
