"""The figures of one suite: pass@k with intervals, outcomes, and what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from actors.evaluation.records import GeneratedSample, SampleVerdict
from actors.evaluation.statistics import mean_interval, pass_at_k
from actors.rollout.samples import OUTCOMES
from curriculum.problem import TIERS, Problem
from sandbox import Outcome

OVERALL = "overall"
UNDATED = "no date"
"""In place of a quarter, for problems without a date beside others that have one."""
_NAMED_ERRORS = 8
"""Types of runtime errors that are counted by name, the most frequent ones."""


@dataclass(frozen=True)
class ProblemCounts:
    """How the samples of one problem came out.

    Raises:
        ValueError: more passed than were judged, or more were judged than drawn.
    """

    problem: str
    tier: str
    digest: str
    """Of the problem's content: two results are compared on equal problems only."""
    samples: int
    passed: int
    judged: int
    """Samples that the sandbox could judge."""
    published: str | None = None
    """When the problem became public, as an ISO date, where its data set says so."""

    def __post_init__(self) -> None:
        if not 0 <= self.passed <= self.judged <= self.samples:
            raise ValueError(
                f"{self.problem}: {self.passed} passed of {self.judged} judged of {self.samples} "
                f"samples"
            )

    @property
    def quarter(self) -> str | None:
        """The calendar quarter of that day."""
        return quarter_of(self.published) if self.published else None

    def pass_at(self, k: int, judged_only: bool = False) -> float | None:
        """pass@k over all samples, where an infrastructure error has not passed, or over the
        judged ones; None where fewer than `k` of those are left.
        """
        samples = self.judged if judged_only else self.samples
        return pass_at_k(samples, self.passed, k) if samples >= k else None


def quarter_of(day: str) -> str:
    """The calendar quarter of an ISO date, such as `2024 Q3`."""
    year, month, _ = day.split("-")
    return f"{year} Q{(int(month) + 2) // 3}"


def count_problems(
    problems: Sequence[Problem],
    digests: Mapping[str, str],
    verdicts: Mapping[str, Sequence[SampleVerdict]],
) -> list[ProblemCounts]:
    """The counts of every problem, in order.

    Args:
        problems: those of the suite.
        digests: of each problem's content, by id.
        verdicts: on all samples of each problem, by id.
    """
    return [
        ProblemCounts(
            problem=problem.id,
            tier=problem.difficulty,
            digest=digests[problem.id],
            samples=len(verdicts[problem.id]),
            passed=sum(verdict.passed for verdict in verdicts[problem.id]),
            judged=sum(verdict.judged for verdict in verdicts[problem.id]),
            published=problem.published.isoformat() if problem.published else None,
        )
        for problem in problems
    ]


def suite_figures(
    counts: Sequence[ProblemCounts],
    samples: Sequence[GeneratedSample],
    verdicts: Sequence[SampleVerdict],
    ks: Sequence[int],
) -> dict[str, Any]:
    """The figures of one suite, as `result.json` holds them.

    `pass_at_k` holds for each k an interval over all problems and for each tier, once over all
    samples and once over the judged ones; `pass_at_k_by_quarter` the same for each calendar quarter
    where problems have dates. Shares are of all samples.
    """
    outcomes = Counter(verdict.outcome.value for verdict in verdicts)
    libraries = Counter(filter(None, (verdict.missing_library for verdict in verdicts)))
    errors = Counter(filter(None, (verdict.error_type for verdict in verdicts)))
    written = [sample for sample in samples if sample.completion is not None]
    share = 1 / max(1, len(verdicts))
    return {
        "problems": len(counts),
        "samples": len(verdicts),
        "pass_at_k": {
            str(k): {
                "all": pass_intervals(counts, k, judged_only=False),
                "judged": pass_intervals(counts, k, judged_only=True),
            }
            for k in ks
        },
        "pass_at_k_by_quarter": {
            str(k): {
                "all": quarter_intervals(counts, k, judged_only=False),
                "judged": quarter_intervals(counts, k, judged_only=True),
            }
            for k in ks
        },
        "outcomes": {outcome: outcomes[outcome] * share for outcome in OUTCOMES},
        "infra_errors": outcomes[Outcome.infra_error.value] * share,
        "missing_libraries": libraries.total() * share,
        "libraries": dict(libraries.most_common()),
        "runtime_errors": dict(errors.most_common(_NAMED_ERRORS)),
        "truncated": _mean(sample.finish_reason == "length" for sample in written),
        "completion_tokens": _mean(sample.completion_tokens for sample in written),
        "longest_completion": max((sample.completion_tokens for sample in written), default=0),
        "untrusted_tests": _mean(not verdict.trusted_tests for verdict in verdicts),
    }


def pass_intervals(counts: Sequence[ProblemCounts], k: int, judged_only: bool) -> dict[str, Any]:
    """pass@k with its interval by tier and overall; tiers are named where there are several."""
    tiers = [tier for tier in TIERS if any(row.tier == tier for row in counts)]
    groups = {tier: [row for row in counts if row.tier == tier] for tier in tiers}
    return _intervals({**(groups if len(tiers) > 1 else {}), OVERALL: list(counts)}, k, judged_only)


def quarter_intervals(
    counts: Sequence[ProblemCounts], k: int, judged_only: bool
) -> dict[str, dict[str, Any]]:
    """pass@k with its interval by the calendar quarter in which problems became public, in order;
    nothing where none has a date.

    Problems from before a model's training data ended may be in it: a fall between quarters shows
    what was memorised (Jain et al., "LiveCodeBench", 2024, section 5.1).
    """
    quarters = sorted({row.quarter for row in counts if row.quarter is not None})
    groups = {quarter: [row for row in counts if row.quarter == quarter] for quarter in quarters}
    undated = [row for row in counts if row.quarter is None]
    return _intervals(groups | ({UNDATED: undated} if quarters and undated else {}), k, judged_only)


def _intervals(
    groups: Mapping[str, Sequence[ProblemCounts]], k: int, judged_only: bool
) -> dict[str, dict[str, Any]]:
    intervals = {}
    for name, rows in groups.items():
        values = [value for row in rows if (value := row.pass_at(k, judged_only)) is not None]
        if values:
            intervals[name] = asdict(mean_interval(values))
    return intervals


def _mean(values: Any) -> float:
    values = list(values)
    return fmean(values) if values else 0.0
