"""Grid: the stored results of one grid, checked to be comparable, by arm and seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from actors.evaluation.statistics import Interval, difference_interval
from curriculum.problem import TIERS
from deploy.ablation.arms import ARMS, in_order
from deploy.ablation.estimates import (
    Difference,
    Estimate,
    mean_over_seeds,
    paired,
    rerun_deviation,
    residual_deviation,
    sample_variance,
)
from deploy.ablation.power import Spread
from deploy.ablation.stored import OVERALL, StoredRun
from deploy.errors import ConfigError

Figure = Callable[[StoredRun], float | None]


@dataclass(frozen=True)
class Grid:
    """Runs of one grid that may be compared."""

    runs: Sequence[StoredRun]

    @classmethod
    def of(cls, runs: Sequence[StoredRun]) -> Grid:
        """Check that runs may be compared.

        Raises:
            ConfigError: there are none; or two differ in a setting beside their switches, in their
                held-out problems, or in their steps. Names the runs and what differs.
        """
        if not runs:
            raise ConfigError("no stored results; `stepcoder ablate` makes some")
        first = runs[0]
        for run in runs[1:]:
            if differing := _differences(first, run):
                raise ConfigError(
                    f"{first.name} and {run.name} cannot be compared, they differ at "
                    f"{', '.join(differing)}: keep the results of different grids apart"
                )
        return cls(tuple(runs))

    @property
    def name(self) -> str:
        """The grid's name."""
        return self.runs[0].grid

    @cached_property
    def arms(self) -> list[str]:
        """The arms that have results, in their order."""
        return in_order({run.arm for run in self.runs})

    @cached_property
    def seeds(self) -> list[int]:
        """Every seed that any arm has."""
        return sorted({run.seed for run in self.runs})

    @cached_property
    def tiers(self) -> list[str]:
        """The tiers of the held-out problems where there are several, then `overall`."""
        tiers = [tier for tier in TIERS if tier in self.runs[0].tiers]
        return [*(tiers if len(tiers) > 1 else []), OVERALL]

    @property
    def hardest(self) -> str:
        """The hardest tier, or `overall` where there is one tier."""
        return self.tiers[-2] if len(self.tiers) > 1 else OVERALL

    def problems(self, tier: str) -> int:
        """Held-out problems of a tier, or of all."""
        sizes = self.runs[0].tiers
        return sum(sizes.values()) if tier == OVERALL else sizes[tier]

    def of_arm(self, arm: str) -> list[StoredRun]:
        """The runs of an arm, reruns included."""
        return [run for run in self.runs if run.arm == arm]

    def by_seed(self, arm: str, figure: Figure) -> dict[int, float]:
        """A figure of each seed of an arm that has it, the mean over its reruns."""
        values: dict[int, list[float]] = {}
        for run in self.of_arm(arm):
            if (value := figure(run)) is not None:
                values.setdefault(run.seed, []).append(value)
        return {seed: fmean(of) for seed, of in sorted(values.items())}

    def final(self, arm: str, tier: str) -> dict[int, float]:
        """Held-out pass@1 after the last step, by seed."""
        return self.by_seed(arm, lambda run: run.final(tier))

    def mean(self, arm: str, figure: Figure) -> Estimate | None:
        """A figure over the seeds of an arm; None where none has it."""
        values = list(self.by_seed(arm, figure).values())
        return mean_over_seeds(values) if values else None

    def difference(self, a: str, b: str, tier: str) -> Difference | None:
        """Arm `a` less arm `b` after the last step, paired by seed; None without a common seed."""
        return paired(self.final(a, tier), self.final(b, tier))

    def difference_by_problem(self, a: str, b: str, tier: str) -> Interval | None:
        """The same clustered by problem: each problem's mean over the common seeds is one value.

        It says how far the difference carries to other problems, of these seeds; None without a
        common seed.
        """
        common = self.final(a, tier).keys() & self.final(b, tier).keys()
        means = [self._problem_means(arm, tier, sorted(common)) for arm in (a, b)]
        values = [
            ours - theirs
            for ours, theirs in zip(*means, strict=True)
            if ours is not None and theirs is not None
        ]
        return difference_interval(values) if common and values else None

    def _problem_means(self, arm: str, tier: str, seeds: Sequence[int]) -> list[float | None]:
        rates = [run.problem_rates(tier) for run in self.of_arm(arm) if run.seed in seeds]
        judged = [[rate for rate in of if rate is not None] for of in zip(*rates, strict=True)]
        return [fmean(of) if of else None for of in judged]

    def spread(self, tier: str) -> Spread | None:
        """How an arm's pass@1 varies between seeds and by sampling, from the runs themselves.

        From the seeds that every arm with several seeds has; None with fewer than two such arms
        or seeds.
        """
        tables = [self.final(arm, tier) for arm in self.arms]
        tables = [table for table in tables if len(table) > 1]
        common = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
        residual = residual_deviation([[table[seed] for seed in common] for table in tables])
        variances = [
            variance
            for run in self.runs
            if (variance := sample_variance(*run.counts(run.evaluations[-1], tier))) is not None
        ]
        if residual is None or not variances:
            return None
        samples = self.runs[0].eval_samples
        return Spread.measured(residual, fmean(variances), self.problems(tier), samples)

    def rerun_spread(self, tier: str) -> tuple[float, int] | None:
        """Standard deviation between reruns of one seed, and how many seeds have reruns."""
        values: dict[tuple[str, int], list[float]] = {}
        for run in self.runs:
            values.setdefault((run.arm, run.seed), []).append(run.final(tier))
        deviation = rerun_deviation(list(values.values()))
        several = sum(len(of) > 1 for of in values.values())
        return None if deviation is None else (deviation, several)

    def inequalities(self) -> list[str]:
        """Where runs did not have the same samples or optimizer steps, a sentence each."""
        lines: list[str] = []
        for name, value in (
            ("samples trained on", lambda run: run.samples["trained"]),
            ("optimizer steps", lambda run: run.optimizer_steps),
        ):
            values = {run.name: value(run) for run in self.runs}
            usual = max(values.values(), key=list(values.values()).count)
            other = [f"{run} {count:,}" for run, count in values.items() if count != usual]
            if other:
                lines.append(f"Not the same {name}: {', '.join(other)}; the others {usual:,}.")
        return lines

    def notes(self) -> list[str]:
        """What a reader should know of how the runs were made, a sentence each."""
        lines = [*self.inequalities()]
        commits = sorted({(run.commit or "unknown")[:12] for run in self.runs})
        if len(commits) > 1:
            lines.append(f"Made by {len(commits)} commits of the code: {', '.join(commits)}.")
        if dirty := sorted(run.name for run in self.runs if (run.commit or "").endswith("-dirty")):
            lines.append(f"Made by files that differ from their commit: {', '.join(dirty)}.")
        missing = [
            f"{arm} lacks {', '.join(map(str, absent))}"
            for arm in self.arms
            if (absent := sorted(set(self.seeds) - self.final(arm, OVERALL).keys()))
        ]
        if missing:
            lines.append(f"Not every arm has every seed: {'; '.join(missing)}.")
        return lines


def _differences(a: StoredRun, b: StoredRun) -> list[str]:
    """What two runs differ in beside their switches."""
    switched = a.switch.keys() | b.switch.keys()
    keys = sorted((a.settings.keys() | b.settings.keys()) - switched)
    names = [key for key in keys if a.settings.get(key) != b.settings.get(key)]
    others: dict[str, Callable[[StoredRun], Any]] = {
        "the held-out problems": lambda run: run.heldout_digest,
        "the samples of an evaluation": lambda run: run.eval_samples,
        "the steps": lambda run: run.steps,
        "the grid's name": lambda run: run.grid,
    }
    names += [name for name, value in others.items() if value(a) != value(b)]
    if a.arm == b.arm and a.switch != b.switch:
        names.append(f"what arm {a.arm} sets")
    return names


def summary_of(arm: str) -> str:
    """What an arm is; of one that is no longer there, its name."""
    return ARMS[arm].summary if arm in ARMS else arm
