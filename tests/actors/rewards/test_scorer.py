"""Rewards of judged samples: shipped terms, and a function of the user with what can go wrong."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from actors.rewards.function import RewardFunctionError, load_reward_function
from actors.rewards.scorer import ScoredRound, Scorer
from actors.rewards.shipped import shipped_reward
from actors.rollout.round import JudgedGroup, JudgedSample, Round, pack_detail
from actors.rollout.samples import Completion, RolloutGroup, Sample
from curriculum import FULL_TASK, cut, synthetic_problems
from curriculum.program import Cut, Program
from curriculum.prompt import Prompt
from learner.config import RewardConfig
from learner.reward import Reward
from sandbox import Outcome, TestOutcome, TestResult, Verdict
from tests.actors.trajectories import trajectories_of

PROBLEM = synthetic_problems(seed=4, per_tier=1)[0]
LONGEST = 40
GOOD = "def reward(problem, sample, verdict):\n    return 0.5\n"


def judged(
    sample_id: int = 0,
    outcome: Outcome = Outcome.passed,
    passes: tuple[bool, ...] = (),
    tokens: int = 2,
    reason: str = "stop",
    cuts: tuple[Cut, ...] = (),
) -> Sample:
    results = (TestOutcome.passed if ok else TestOutcome.failed for ok in passes)
    return Sample(
        sample_id=sample_id,
        completion=Completion(sample_id, (5,) * tokens, (-0.5,) * tokens, reason, 1),
        program=Program("a = 1\n", 0, 0, 6, cuts),
        text="a = 1\n",
        token_lengths=(6, *(0,) * (tokens - 1)),
        verdict=Verdict(f"{sample_id}", outcome, tests=tuple(map(TestResult, results))),
    )


def one_round(*samples: Sample) -> Round:
    prompt = Prompt(ids=(1, 2), prefix="", in_code_fence=False)
    detail = RolloutGroup(cut(PROBLEM, FULL_TASK, frozenset()), prompt, samples)
    figures = tuple(JudgedSample.of(sample, None) for sample in samples)
    packed = pack_detail(prompt, samples)
    group = JudgedGroup(detail.subtask, len(prompt.ids), figures, packed_detail=packed)
    return Round((group,), rollout_s=1.0, sandbox_s=0.0, peak_judging=1)


def scored(finished: Round, function: Any = None, **settings: Any) -> ScoredRound:
    name = {"function": "mine:reward"} if function else {}
    scorer = Scorer(RewardConfig(**name, **settings), LONGEST, function)
    return asyncio.run(scorer.score(finished))


def values(made: ScoredRound) -> dict[int, float]:
    packed = {t.sample_id: t.reward for group in made.groups for t in trajectories_of(group)}
    figures = [s for group in made.round.groups for s in group.rewarded]
    assert packed == {s.sample_id: s.reward.value for s in figures if s.reward}
    return packed


def test_the_outcome_is_the_whole_reward_by_default() -> None:
    sample = judged(outcome=Outcome.failed, passes=(True, False))
    assert shipped_reward(sample, RewardConfig(), LONGEST) == Reward(-0.3, {"outcome": -0.3})


def test_shipped_terms_are_added_by_their_weight() -> None:
    config = RewardConfig(failed=0.0, tests_passed=0.4, length=-0.2, format=0.1)
    prose = (Cut(6, 9, "prose"),)
    fenced = (Cut(0, 3, "reasoning"), Cut(3, 6, "fence"))
    half = judged(outcome=Outcome.failed, passes=(True, False), tokens=10, cuts=fenced)
    expected = {"outcome": 0.0, "tests_passed": 0.2, "length": -0.05, "format": 0.1}
    assert shipped_reward(half, config, LONGEST).parts == pytest.approx(expected)
    assert shipped_reward(half, config, LONGEST).value == pytest.approx(0.25)
    rambling = judged(outcome=Outcome.failed, passes=(True,), cuts=prose)
    assert shipped_reward(rambling, config, LONGEST).parts["format"] == 0
    cut_off = judged(outcome=Outcome.failed, passes=(True,), reason="length")
    assert shipped_reward(cut_off, config, LONGEST).parts["format"] == 0
    broken = judged(outcome=Outcome.compile_error)
    assert shipped_reward(broken, config, LONGEST).parts["tests_passed"] == 0


def test_a_function_is_added_to_the_outcome_with_its_named_parts() -> None:
    def function(problem: Any, sample: Sample, verdict: Verdict) -> tuple[float, dict[str, float]]:
        assert problem is PROBLEM
        assert verdict is sample.verdict
        return 0.25, {"calls": 2}

    made = scored(one_round(judged(0), judged(1, Outcome.failed)), function)
    assert values(made) == {0: 1.25, 1: pytest.approx(-0.05)}
    trajectory = trajectories_of(made.groups[0])[0]
    assert trajectory.reward_parts == {"outcome": 1.0, "function": 0.25, "function/calls": 2.0}
    assert made.failed == ()
    assert made.seconds > 0


def fails_on_sample_1(problem: Any, sample: Sample, verdict: Verdict) -> float:
    return 1 / (1 - sample.sample_id)


def test_an_error_of_the_function_ends_the_run_with_name_place_and_sample() -> None:
    message = (
        r"reward.function mine:reward: ZeroDivisionError: .*test_scorer.py:\d+\) "
        rf"for sample 1 of problem {PROBLEM.id}"
    )
    with pytest.raises(RewardFunctionError, match=message) as caught:
        scored(one_round(judged(0), judged(1)), fails_on_sample_1)
    assert "function_errors drop" in caught.value.__notes__[0]


def test_samples_that_the_function_fails_on_are_dropped_and_named_by_choice() -> None:
    finished = one_round(judged(0), judged(1), judged(2))
    made = scored(finished, fails_on_sample_1, function_errors="drop")
    assert values(made) == {0: 2.0, 2: 0.0}
    assert made.failed == (1,)
    alone = scored(one_round(judged(1)), fails_on_sample_1, function_errors="drop")
    assert (alone.groups, alone.failed) == ((), (1,))


class NoText:
    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    "returned",
    [None, float("nan"), "1", (1.0, {"a": None}), (1.0, 2.0), 10**400, NoText()],
)
def test_what_is_no_finite_number_is_an_error(returned: Any) -> None:
    with pytest.raises(RewardFunctionError, match="expected a finite number"):
        scored(one_round(judged()), lambda *_: returned)


def test_a_function_that_exits_is_named() -> None:
    def leaves(problem: Any, sample: Sample, verdict: Verdict) -> float:
        raise SystemExit(3)

    with pytest.raises(RewardFunctionError, match=r"SystemExit: 3 \(.*for sample 0"):
        scored(one_round(judged()), leaves)


def test_a_function_that_does_not_return_ends_the_run_in_time() -> None:
    def hangs(problem: Any, sample: Sample, verdict: Verdict) -> float:
        time.sleep(0.5)
        return 0.0

    with pytest.raises(RewardFunctionError, match=r"no answer within 0.05 s .*function_timeout_s"):
        scored(one_round(judged()), hangs, function_timeout_s=0.05)


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("", "absent:reward", "module absent cannot be imported: ModuleNotFoundError"),
        ("import absent", "broken:reward", "cannot be imported: ModuleNotFoundError: No module"),
        ("x = 1", "empty:reward", "has no function reward"),
        ("reward = 1", "number:reward", "has no function reward"),
        ("def reward(x): pass", "short:reward", r"not def reward\(x\)"),
        ("async def reward(a, b, c): pass", "waits:reward", "not async def reward"),
        (
            "class A:\n    async def __call__(self, a, b, c): pass\nreward = A()",
            "waiter:reward",
            "not async def reward",
        ),
        ("import sys; sys.exit(3)", "leaves:reward", "cannot be imported: SystemExit: 3"),
        ("", "builtins:max", r"not def max\(\.\.\.\)"),
        ("", "sys:nonesuch", "sys has no function nonesuch"),
    ],
)
def test_a_name_that_is_no_reward_function_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = name.partition(":")[0]
    if source:
        (tmp_path / f"{module}.py").write_text(source)
    with pytest.raises(RewardFunctionError, match=f"reward.function {name}: .*{message}"):
        load_reward_function(name)


def test_a_function_is_found_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    (tmp_path / "my_own_rewards.py").write_text(GOOD)
    function: Any = load_reward_function("my_own_rewards:reward")
    assert function(None, None, None) == 0.5
