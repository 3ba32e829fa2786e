"""The table of an evaluation says what its figures are over, and what to distrust."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from actors.evaluation.figures import ProblemCounts, suite_figures
from actors.evaluation.records import GeneratedSample, SampleKey, SampleVerdict
from deploy.report.evaluation_table import print_evaluation
from sandbox import Outcome, Verdict


def result(
    outcomes: list[Outcome], error: str | None = None, days: tuple[str | None, ...] = (None, None)
) -> dict[str, Any]:
    """Two problems of two tiers, the samples divided between them."""
    half = len(outcomes) // 2
    rows = [
        ProblemCounts(
            problem,
            tier,
            "d",
            half,
            own.count(Outcome.passed),
            half - own.count(Outcome.infra_error),
            day,
        )
        for problem, tier, own, day in (
            ("p0", "introductory", outcomes[:half], days[0]),
            ("p1", "competition", outcomes[half:], days[1]),
        )
    ]
    keys = [SampleKey("s", f"p{n // half}", n % half) for n in range(len(outcomes))]
    samples = [
        GeneratedSample(key, "", "", "text", None, "length" if n == 0 else "stop", 1, 1)
        for n, key in enumerate(keys)
    ]
    verdicts = [
        SampleVerdict.of(key, Verdict("", outcome, tests=(), error=error))
        for key, outcome in zip(keys, outcomes, strict=True)
    ]
    figures = suite_figures(rows, samples, verdicts, [1, 2])
    return {
        "model": "qwen",
        "judged_file": None,
        "sampling": {"temperature": 0.8, "top_p": 0.95},
        "prompt": {"style": "chat"},
        "dtype": ["bfloat16"],
        "tokens_per_s": 90.4,
        "isolation": {"docker": len(outcomes)},
        "suites": {"s": {"data": {"left_out": {"tests": [3, "line 7: empty"]}}, **figures}},
    }


def printed(result: dict[str, Any]) -> str:
    text = io.StringIO()
    print_evaluation(result, Path("runs/eval/qwen"), Console(file=text, width=110))
    return text.getvalue()


def test_every_tier_and_k_has_its_interval() -> None:
    passed, failed = Outcome.passed, Outcome.failed
    text = printed(result([passed, passed, failed, failed]))
    assert "2 problems, 4 samples (temperature 0.8, top-p 0.95)" in text
    rows = [line.split("│")[1:6] for line in text.splitlines() if "│ pass@" in line]
    figures = [(row[0].strip(), row[1].strip(), row[2].strip()) for row in rows[1:]]
    assert figures == [
        (f"pass@{k}", tier, share)
        for k in (1, 2)
        for tier, share in (("introductory", "100.0"), ("competition", "0.0"), ("all", "50.0"))
    ]
    assert "qwen; bfloat16; chat prompts; 90 tokens/s; sandbox isolation: docker" in text
    assert "25.0% of the completions were cut off" in text
    assert "3 records of the file were left out for tests, such as line 7: empty" in text


def test_dated_problems_have_a_row_for_each_quarter() -> None:
    passed, failed = Outcome.passed, Outcome.failed
    text = printed(result([passed, failed], days=("2024-05-01", "2024-08-01")))
    assert "tier or quarter" in text
    rows = [[cell.strip() for cell in line.split("│")[1:6]] for line in text.splitlines()]
    quarters = [row for row in rows if len(row) > 1 and " Q" in row[1]]
    assert [(row[1], row[2], row[4]) for row in quarters] == [
        ("2024 Q2", "100.0", "1"), ("2024 Q3", "0.0", "1"),
    ]  # fmt: skip
    assert "quarter" not in printed(result([passed, failed]))


def test_names_are_no_markup() -> None:
    shown = result([Outcome.passed, Outcome.failed])
    shown["suites"] = {"own[/b][red]": shown["suites"]["s"]}
    assert "own[/b][red]  2 problems" in printed(shown)


def test_errors_of_the_sandbox_and_missing_libraries_are_said() -> None:
    error = "ModuleNotFoundError: No module named 'numpy'"
    outcomes = [Outcome.runtime_error, Outcome.passed, Outcome.infra_error, Outcome.passed]
    text = printed(result(outcomes, error))
    assert "without errors of the sandbox" in text
    assert "25.0% could not be judged for errors of the sandbox; --resume judges them" in text
    assert "miss a library: numpy" in text
    assert "ModuleNotFoundError (1)" in text


def test_a_limit_is_said_with_the_tiers_that_it_leaves_out() -> None:
    shown = result([Outcome.passed, Outcome.failed])
    shown["suites"]["s"]["data"] |= {"limit": 2, "tiers_beyond_limit": ["interview"]}
    text = printed(shown)
    assert "s  first 2 problems" in text
    assert "--limit leaves out every problem of the tier interview" in text
