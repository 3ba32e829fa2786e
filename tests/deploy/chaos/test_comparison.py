"""What a pair of runs must show to pass."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from deploy.chaos.comparison import ChaosRun, Comparison, Expectation, compare
from deploy.config import RunConfig
from deploy.report.chaos_table import print_comparison

RATES = [0.2, 0.4, 0.3, 0.5]
TRAINED = 100
EXPECTED = Expectation(steps=4, samples=400, on_policy=True)
OFF_POLICY = dataclasses.replace(EXPECTED, on_policy=False)


def make_run(
    rates: list[float] = RATES, kills: dict[str, int] | None = None, dropped: int = 0
) -> ChaosRun:
    """A run that trained on `TRAINED` samples per step, less those dropped at the last one."""
    trained = [TRAINED] * (len(rates) - 1) + [TRAINED - dropped]
    rows = [
        {"step": step, "pass_rate": rate, "ledger/trained": count}
        for step, (rate, count) in enumerate(zip(rates, trained, strict=True), 1)
    ]
    samples = {"asked": sum(trained) + dropped, "trained": sum(trained), "dropped": dropped}
    result = {"samples": samples, "gain": 0.25, "restarts": {"rollout": 1}}
    return ChaosRun(0, result, rows, 60.0, kills or {})


UNDISTURBED = make_run()
KILLS = {"rollout": 1}


def test_a_run_that_repeats_the_undisturbed_one_passes() -> None:
    comparison = compare(UNDISTURBED, make_run(kills=KILLS), EXPECTED)
    assert comparison.failures == []
    assert comparison.passed
    assert comparison.repeatable
    assert comparison.equal_steps == 4
    assert comparison.curve_distance == 0.0


def without_a_result(run: ChaosRun) -> ChaosRun:
    return dataclasses.replace(run, exit_status=1, result=None)


def with_step_twice(run: ChaosRun) -> ChaosRun:
    return dataclasses.replace(run, rows=[*run.rows[:2], run.rows[1], *run.rows[2:]])


def without_last_step(run: ChaosRun) -> ChaosRun:
    return dataclasses.replace(run, rows=run.rows[:-1])


def with_samples(**counts: int) -> Callable[[ChaosRun], ChaosRun]:
    def change(run: ChaosRun) -> ChaosRun:
        result: dict[str, Any] = dict(run.result or {})
        result["samples"] = result["samples"] | counts
        return dataclasses.replace(run, result=result)

    return change


@pytest.mark.parametrize(
    ("change", "failures"),
    [
        (lambda run: dataclasses.replace(run, kills={}), ["nothing was killed"]),
        (
            lambda run: dataclasses.replace(run, exit_status=3),
            ["the run ended with exit status 3"],
        ),
        (
            without_a_result,
            [
                "the run ended with exit status 1",
                "the run wrote no result",
                "0 samples were asked for, not 400",
                "400 samples are unaccounted for",
                "the metrics count 400 samples trained on, the result 0",
            ],
        ),
        (
            with_step_twice,
            [
                "the metrics do not have every step once, in order",
                "the metrics count 500 samples trained on, the result 400",
            ],
        ),
        (
            without_last_step,
            [
                "the metrics do not have every step once, in order",
                "the metrics count 300 samples trained on, the result 400",
                "1 of 4 steps have another pass rate than in the undisturbed run",
            ],
        ),
        (with_samples(asked=399), ["399 samples were asked for, not 400"]),
        (
            with_samples(trained=399),
            [
                "1 samples are unaccounted for",
                "the metrics count 400 samples trained on, the result 399",
            ],
        ),
        (
            with_samples(dropped=1),
            ["-1 samples are unaccounted for"],
        ),
    ],
)
def test_every_deviation_is_a_failure_of_its_own(
    change: Callable[[ChaosRun], ChaosRun], failures: list[str]
) -> None:
    comparison = compare(UNDISTURBED, change(make_run(kills=KILLS)), EXPECTED)
    assert comparison.failures == failures
    assert not comparison.passed


def test_one_step_with_another_pass_rate_fails_a_repeatable_run() -> None:
    near = [*RATES[:3], 0.51]
    comparison = compare(UNDISTURBED, make_run(near, KILLS), EXPECTED)
    assert comparison.within_noise
    assert comparison.failures == [
        "1 of 4 steps have another pass rate than in the undisturbed run"
    ]


def test_an_off_policy_run_must_stay_within_noise() -> None:
    near, far = [rate + 0.03 for rate in RATES], [rate + 0.2 for rate in RATES]
    assert compare(UNDISTURBED, make_run(near, KILLS), OFF_POLICY).passed
    failures = compare(UNDISTURBED, make_run(far, KILLS), OFF_POLICY).failures
    assert failures == ["the learning curve is not within noise of the undisturbed run's"]


def test_a_run_with_dropped_samples_must_stay_within_noise() -> None:
    comparison = compare(UNDISTURBED, make_run([*RATES[:3], 0.51], KILLS, dropped=2), EXPECTED)
    assert not comparison.repeatable
    assert comparison.passed


def test_an_empty_run_is_compared_and_fails() -> None:
    comparison = compare(UNDISTURBED, ChaosRun(1, None, [], 5.0, KILLS), EXPECTED)
    assert comparison.curve_distance is None
    assert not comparison.passed
    json.dumps(comparison.as_record(), allow_nan=False)


def test_the_expectation_follows_from_the_configuration() -> None:
    config = RunConfig()
    loop = config.loop.model_copy(update={"steps": 3, "prompts_per_step": 5, "max_staleness": 1})
    rollout = config.rollout.model_copy(update={"samples_per_prompt": 4})
    config = config.model_copy(update={"loop": loop, "rollout": rollout})
    assert Expectation.of(config) == Expectation(steps=3, samples=60, on_policy=False)


def printed(comparison: Comparison) -> str:
    page = io.StringIO()
    print_comparison(comparison, Console(file=page, width=120))
    return page.getvalue()


def test_the_record_and_the_table_tell_the_verdict() -> None:
    good = compare(UNDISTURBED, make_run(kills=KILLS), EXPECTED)
    bad = compare(UNDISTURBED, make_run(), EXPECTED)
    assert good.as_record()["passed"] is True
    assert bad.as_record()["failures"] == ["nothing was killed"]
    assert "400 asked, 400 trained, 0 dropped, 0 unaccounted for" in printed(good)
    assert "4 of 4 steps equal the undisturbed run" in printed(good)
    assert "nothing was killed" in printed(bad)
    assert "exit status" in printed(compare(UNDISTURBED, ChaosRun(1, None, [], 5.0), EXPECTED))
