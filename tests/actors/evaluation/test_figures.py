"""The figures of a suite, by tier and over all and judged samples."""

from __future__ import annotations

import pytest

from actors.evaluation.figures import ProblemCounts, suite_figures
from actors.evaluation.records import GeneratedSample, SampleKey, SampleVerdict
from sandbox import Outcome, Verdict


def counts(
    problem: str, tier: str, samples: int, passed: int, judged: int, published: str | None = None
) -> ProblemCounts:
    return ProblemCounts(problem, tier, "digest", samples, passed, judged, published)


def verdict(number: int, outcome: Outcome, error: str | None = None) -> SampleVerdict:
    judged = Verdict("", outcome, tests=(), error=error)
    return SampleVerdict.of(SampleKey("s", "p", number), judged)


def test_an_infrastructure_error_counts_among_all_samples_and_not_among_the_judged() -> None:
    rows = [
        counts("a", "introductory", 2, 1, 1),
        counts("b", "introductory", 2, 2, 2),
        counts("c", "interview", 2, 0, 0),
    ]
    pass_at_1 = suite_figures(rows, [], [], [1])["pass_at_k"]["1"]
    estimates = {
        view: {tier: interval["estimate"] for tier, interval in intervals.items()}
        for view, intervals in pass_at_1.items()
    }
    assert estimates == {
        "all": {"introductory": 0.75, "interview": 0.0, "overall": 0.5},
        "judged": {"introductory": 1.0, "overall": 1.0},
    }
    assert pass_at_1["judged"]["overall"]["problems"] == 2


def test_tiers_are_named_where_there_are_several() -> None:
    rows = [counts("a", "interview", 1, 1, 1)]
    assert set(suite_figures(rows, [], [], [1])["pass_at_k"]["1"]["all"]) == {"overall"}


def test_problems_with_dates_are_reported_by_quarter() -> None:
    days = ["2024-03-31", "2023-12-31", "2024-01-01", None]
    rows = [counts(f"{at}", "interview", 2, at % 2, 1 + at % 2, day) for at, day in enumerate(days)]
    by_quarter = suite_figures(rows, [], [], [1])["pass_at_k_by_quarter"]["1"]
    assert [*by_quarter["all"]] == ["2023 Q4", "2024 Q1", "no date"]
    found = by_quarter["all"]["2024 Q1"], by_quarter["judged"]["2023 Q4"]
    assert [(each["problems"], each["estimate"]) for each in found] == [(2, 0.0), (1, 0.5)]
    undated = suite_figures(rows[-1:], [], [], [1])["pass_at_k_by_quarter"]["1"]
    assert undated == {"all": {}, "judged": {}}


def test_shares_are_of_all_samples() -> None:
    verdicts = [
        verdict(0, Outcome.passed),
        verdict(1, Outcome.runtime_error, "ModuleNotFoundError: No module named 'numpy.linalg'"),
        verdict(2, Outcome.runtime_error, "NameError: name 'x' is not defined"),
        verdict(3, Outcome.infra_error, "ModuleNotFoundError: No module named 'docker'"),
    ]
    samples = [
        GeneratedSample(SampleKey("s", "p", n), "p", "", "text", None, reason, 1, tokens)
        for n, reason, tokens in ((0, "stop", 2), (1, "length", 6), (2, "stop", 1), (3, "stop", 3))
    ]
    figures = suite_figures([counts("p", "interview", 4, 1, 3)], samples, verdicts, [1, 2])
    assert figures["outcomes"]["passed"] == figures["infra_errors"] == 0.25
    assert figures["outcomes"]["runtime_error"] == 0.5
    assert figures["missing_libraries"] == 0.25
    assert figures["libraries"] == {"numpy": 1}
    assert figures["runtime_errors"] == {"ModuleNotFoundError": 1, "NameError": 1}
    assert figures["truncated"] == 0.25
    assert figures["completion_tokens"] == 3.0
    assert figures["longest_completion"] == 6
    assert figures["pass_at_k"]["2"]["all"]["overall"]["estimate"] == pytest.approx(0.5)
