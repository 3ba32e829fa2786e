"""Comparing two evaluations, paired by problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from actors.evaluation.figures import ProblemCounts
from actors.evaluation.statistics import Interval, difference_interval, mean_interval
from curriculum.problem import TIERS
from deploy.errors import ConfigError
from deploy.evaluation.folder import EvaluationFolder


@dataclass(frozen=True)
class Comparison:
    """Two results on the problems of one suite that both hold, for one k."""

    suite: str
    k: int
    a: Interval
    b: Interval
    difference: Interval
    """b minus a."""
    won: tuple[str, ...]
    """Problems that b solves more often than a."""
    lost: tuple[str, ...]
    """Problems that b solves less often than a."""
    unpaired: int
    """Problems that only one of them holds; not counted."""
    unjudged: tuple[int, int]
    """Samples of a and of b that the sandbox could not judge; they count as not passed."""
    tier: str | None = None
    """Of the problems; None: all of the suite."""


def compare(a: EvaluationFolder, b: EvaluationFolder) -> list[Comparison]:
    """Compare two evaluations on every suite, and for every k, that both have: all problems, then
    each tier where there are several.

    Raises:
        ConfigError: one of them is not finished, they share no suite or no k, or a problem of the
            same id differs.
    """
    counts_a, counts_b = _counts(a), _counts(b)
    ks_a, ks_b = _ks(a), _ks(b)
    suites = [name for name in counts_a if name in counts_b]
    if not suites:
        raise ConfigError(
            f"{a.root} holds {', '.join(counts_a)} and {b.root} holds {', '.join(counts_b)}: there "
            f"is no suite in both"
        )
    comparisons = []
    for suite in suites:
        ks = sorted(ks_a[suite] & ks_b[suite])
        if not ks:
            raise ConfigError(f"{suite}: {a.root} and {b.root} have no pass@k in common")
        for k in ks:
            comparisons.append(compare_suite(suite, k, counts_a[suite], counts_b[suite]))
            comparisons += compare_tiers(suite, k, counts_a[suite], counts_b[suite])
    return comparisons


def suites_of_one(a: EvaluationFolder, b: EvaluationFolder) -> dict[str, list[str]]:
    """The suites that only one of two evaluations has, under `A` and `B`."""
    of_a, of_b = ([*folder.read_problems()] for folder in (a, b))
    return {
        "A": [name for name in of_a if name not in of_b],
        "B": [name for name in of_b if name not in of_a],
    }


def compare_suite(
    suite: str, k: int, a: Sequence[ProblemCounts], b: Sequence[ProblemCounts]
) -> Comparison:
    """Compare the counts of one suite.

    Raises:
        ConfigError: no problem is in both, one of the same id differs, or one has fewer than k
            samples.
    """
    of_b = {row.problem: row for row in b}
    pairs = [(row, of_b[row.problem]) for row in a if row.problem in of_b]
    changed = [row.problem for row, other in pairs if row.digest != other.digest]
    if changed:
        raise ConfigError(
            f"{suite}: {len(changed)} problems have the same id and another content, such as "
            f"{changed[0]}; evaluate both on the same version of the data"
        )
    if not pairs:
        raise ConfigError(f"{suite}: no problem is in both")
    before, after = ([_pass_at(suite, row, k) for row in rows] for rows in zip(*pairs, strict=True))
    differences = [y - x for x, y in zip(before, after, strict=True)]
    names = [row.problem for row, _ in pairs]
    return Comparison(
        suite=suite,
        k=k,
        a=mean_interval(before),
        b=mean_interval(after),
        difference=difference_interval(differences),
        won=tuple(name for name, d in zip(names, differences, strict=True) if d > 0),
        lost=tuple(name for name, d in zip(names, differences, strict=True) if d < 0),
        unpaired=len(a) + len(b) - 2 * len(pairs),
        unjudged=(_unjudged(row for row, _ in pairs), _unjudged(other for _, other in pairs)),
    )


def compare_tiers(
    suite: str, k: int, a: Sequence[ProblemCounts], b: Sequence[ProblemCounts]
) -> list[Comparison]:
    """Compare each tier of one suite by itself; nothing where the common problems have one tier.

    Raises:
        ConfigError: as `compare_suite`.
    """
    in_b = {row.problem for row in b}
    tier_of = {row.problem: row.tier for row in a if row.problem in in_b}
    tiers = [tier for tier in TIERS if tier in tier_of.values()]
    comparisons = []
    for tier in tiers if len(tiers) > 1 else ():
        of_a, of_b = ([row for row in rows if tier_of.get(row.problem) == tier] for rows in (a, b))
        comparisons.append(replace(compare_suite(suite, k, of_a, of_b), tier=tier))
    return comparisons


def _pass_at(suite: str, row: ProblemCounts, k: int) -> float:
    if (value := row.pass_at(k)) is None:
        raise ConfigError(
            f"{suite}: pass@{k} needs at least {k} samples of each problem, and {row.problem} has "
            f"{row.samples}"
        )
    return value


def _unjudged(rows: Iterable[ProblemCounts]) -> int:
    return sum(row.samples - row.judged for row in rows)


def _counts(folder: EvaluationFolder) -> dict[str, list[ProblemCounts]]:
    """The counts that a result is of; one problem more or less is a damaged file."""
    counts = folder.read_problems()
    for suite, figures in folder.read_result()["suites"].items():
        rows = len(counts.get(suite, ()))
        names = {row.problem for row in counts.get(suite, ())}
        if not len(names) == rows == figures.get("problems", rows):
            raise ConfigError(
                f"{folder.problems}: {rows} lines with {len(names)} problems of {suite}, of which "
                f"{folder.result.name} has {figures['problems']}; `stepcoder eval --resume` writes "
                f"both again from the samples"
            )
    return counts


def _ks(folder: EvaluationFolder) -> dict[str, set[int]]:
    suites = folder.read_result()["suites"]
    return {name: {int(k) for k in suite["pass_at_k"]} for name, suite in suites.items()}
