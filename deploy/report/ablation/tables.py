"""The tables of a grid: pass@1, differences, claims, cost, and what lies behind them."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from actors.rollout.samples import OUTCOMES
from deploy.ablation.claims import CLAIMS, judge_claims
from deploy.ablation.estimates import FEWEST_SEEDS, samples_to_reach
from deploy.ablation.grid import Grid, summary_of
from deploy.ablation.power import POWER, seeds_needed, smallest_difference
from deploy.ablation.stored import OVERALL, StoredRun
from deploy.report.ablation.table import Cell, IntervalCell, TextTable, estimate_cell

LAST_SHARE = 5
"""Outcomes are shown of the last fifth of the steps."""
TARGETS = (0.03, 0.05, 0.1)
"""Differences for which the seeds needed are told."""
BASELINE = "ppo"
"""The arm whose end is the level that the others are to reach."""


def grid_tables(grid: Grid) -> Iterator[TextTable]:
    """Every table that the runs of a grid have data for."""
    tables = (claims_table, rates_table, differences_table, differences_by_problem_table,
              levels_table, cost_table, outcomes_table, reruns_table, power_table)  # fmt: skip
    yield from (table for make in tables if (table := make(grid)).rows)


def claims_table(grid: Grid) -> TextTable:
    """Which claims hold, at which confidence."""
    judged = list(judge_claims(grid))
    untested = [f"{of.claim.text} ({of.words})" for of in judged if of.verdict == "not tested"]
    return TextTable(
        "Which claims hold",
        "Declared before the runs. A claim holds where the 95 % t-interval of the paired "
        f"difference lies above its margin; with fewer than {FEWEST_SEEDS} seeds there is none. "
        "Each is judged by itself: of forty claims that are not so, one holds by chance."
        + (f" Not tested: {'; '.join(untested)}." if untested else ""),
        ("claim", "verdict", "figures"),
        [[of.claim.text, of.verdict, of.words] for of in judged if of.verdict != "not tested"],
        words=3,
    )


def rates_table(grid: Grid) -> TextTable:
    """Held-out pass@1 at the end by arm and tier."""
    first = grid.arms[0]
    start = [
        estimate_cell(grid.mean(first, lambda run, of=tier: run.rate(run.evaluations[0], of)))
        for tier in grid.tiers
    ]
    seeds = str(len(grid.by_seed(first, _one)))
    rows: list[list[Cell]] = [["–", "the warm start of every arm", seeds, *start]]
    for arm in grid.arms:
        cells = [estimate_cell(grid.mean(arm, lambda run, of=t: run.final(of))) for t in grid.tiers]
        rows.append([arm, summary_of(arm), str(len(grid.by_seed(arm, _one))), *cells])
    return TextTable(
        "Held-out pass@1 after the last step",
        f"Sampled from the empty prefix, {grid.runs[0].eval_samples} samples of each problem "
        f"({', '.join(f'{grid.problems(tier)} {tier}' for tier in grid.tiers)}); mean over seeds "
        "with its 95 % t-interval.",
        ("arm", "what it is", "seeds", *grid.tiers),
        rows,
        words=2,
    )


def _one(_: StoredRun) -> float:
    return 1.0


def _pairs(grid: Grid) -> list[tuple[str, str]]:
    """The pairs of arms that the claims are about, where both have runs."""
    pairs = dict.fromkeys((claim.a, claim.b) for claim in CLAIMS)
    return [(a, b) for a, b in pairs if a in grid.arms and b in grid.arms]


def differences_table(grid: Grid) -> TextTable:
    """Paired differences over seeds."""
    rows: list[list[Cell]] = []
    for a, b in _pairs(grid):
        cells: list[Cell] = []
        for tier in grid.tiers:
            found = grid.difference(a, b, tier)
            extra = f", {found.in_favour}/{found.estimate.seeds}" if found else ""
            cells.append(estimate_cell(found and found.estimate, True, extra))
        rows.append([f"{a} less {b}", *cells])
    return TextTable(
        "Paired differences over seeds",
        "Difference of the held-out pass@1 of two arms with the same seed: mean, 95 % t-interval, "
        "pairs in favour. It speaks of these held-out problems.",
        ("arms", *grid.tiers),
        rows,
    )


def differences_by_problem_table(grid: Grid) -> TextTable:
    """The same differences with intervals over problems."""
    rows: list[list[Cell]] = []
    for a, b in _pairs(grid):
        cells: list[Cell] = []
        for tier in grid.tiers:
            found = grid.difference_by_problem(a, b, tier)
            if found is None:
                cells.append("–")
                continue
            text = f"{found.estimate:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
            cells.append(IntervalCell(text, found.estimate, found.low, found.high))
        rows.append([f"{a} less {b}", *cells])
    return TextTable(
        "The same differences over problems",
        "95 % interval clustered by problem, each problem's mean over the common seeds: how far "
        "the difference carries to other problems of the same kind, of these very seeds. With one "
        "seed it does not cover what another seed would give.",
        ("arms", *grid.tiers),
        rows,
    )


def levels_table(grid: Grid) -> TextTable:
    """Training samples until the baseline's final level."""
    arm = BASELINE if BASELINE in grid.arms else grid.arms[0]
    tiers = list(dict.fromkeys((grid.hardest, OVERALL)))
    levels = {tier: fmean(grid.final(arm, tier).values()) for tier in tiers}
    rows: list[list[Cell]] = []
    for name in grid.arms:
        cells: list[Cell] = []
        for tier in tiers:
            reached = grid.by_seed(
                name, lambda run, of=tier: samples_to_reach(run.curve(of), levels[of])
            )
            seeds = len(grid.by_seed(name, _one))
            mean = f"{fmean(reached.values()):,.0f}" if reached else "not reached"
            cells.append(mean if len(reached) == seeds else f"{mean} ({len(reached)}/{seeds})")
        rows.append([name, *cells])
    headings = [f"{tier}, {levels[tier]:.3f}" for tier in tiers]
    return TextTable(
        f"Samples to reach the end of {arm}",
        f"Training samples until the held-out pass@1 is where {arm} ends on average, by straight "
        "lines between evaluations; mean over the seeds that reach it, their number where not all "
        "do.",
        ("arm", *headings),
        rows,
    )


def cost_table(grid: Grid) -> TextTable:
    """Samples, optimizer steps, tokens and time of a run."""
    figures = (
        ("samples trained on", lambda run: run.samples["trained"], "{:,.0f}"),
        ("optimizer steps", lambda run: run.optimizer_steps, "{:,.0f}"),
        ("generated tokens", lambda run: run.tokens, "{:,.0f}"),
        ("minutes", _minutes, "{:.1f}"),
    )
    rows = [
        [arm, *(form.format(fmean(grid.by_seed(arm, of).values())) for _, of, form in figures)]
        for arm in grid.arms
    ]
    return TextTable(
        "What a run costs",
        "Mean over seeds. Samples and optimizer steps are the same in every arm, or a note says "
        "where not; tokens are not, because a prefix that is given is not generated. Minutes are "
        "without the warm start, which all arms share.",
        ("arm", *(name for name, _, _ in figures)),
        rows,
    )


def _minutes(run: StoredRun) -> float:
    return (run.seconds["total"] - run.seconds.get("warm_start", 0.0)) / 60


def outcomes_table(grid: Grid) -> TextTable:
    """What became of the programs late in training."""
    shown = [o for o in OUTCOMES if any(f"outcome/{o}" in run.series for run in grid.runs)]
    rows = [
        [arm, *(_late_share(grid, arm, outcome) for outcome in shown)] for arm in grid.arms if shown
    ]
    return TextTable(
        "Outcomes in training, last fifth of the steps",
        "Shares of the judged training samples, mean over seeds; arms with a curriculum are given "
        "prefixes. The page has them by step.",
        ("arm", *(outcome.replace("_", " ") for outcome in shown)),
        rows,
    )


def _late_share(grid: Grid, arm: str, outcome: str) -> str:
    def share(run: StoredRun) -> float:
        values = run.series.get(f"outcome/{outcome}", [0.0] * run.steps)
        late = values[-max(1, run.steps // LAST_SHARE) :]
        return fmean(value or 0.0 for value in late)

    return f"{fmean(grid.by_seed(arm, share).values()):.1%}"


def reruns_table(grid: Grid) -> TextTable:
    """How far reruns of one seed differ."""
    found = {tier: grid.rerun_spread(tier) for tier in grid.tiers}
    cells = [f"{spread[0]:.4f}" for spread in found.values() if spread]
    seeds = next((spread[1] for spread in found.values() if spread), 0)
    return TextTable(
        "Spread between reruns of one seed",
        "Standard deviation of the final pass@1 between runs of the same arm and seed, pooled over "
        f"{seeds} of them. On one machine a run repeats exactly; on another one rounding differs.",
        ("", *(tier for tier, spread in found.items() if spread)),
        [["reruns", *cells]] if cells else [],
    )


def power_table(grid: Grid) -> TextTable:
    """Which differences these runs can see, from their own spread."""
    rows: list[list[Cell]] = []
    fewest = min(len(grid.by_seed(arm, _one)) for arm in grid.arms)
    for tier in grid.tiers:
        spread = grid.spread(tier)
        if spread is None:
            continue
        problems, samples = grid.problems(tier), grid.runs[0].eval_samples
        smallest = smallest_difference(spread, problems, samples, fewest)
        needed = [seeds_needed(spread, problems, samples, target) for target in TARGETS]
        rows.append([
            tier, f"{spread.training:.3f}", "–" if smallest is None else f"{smallest:.3f}",
            *(str(seeds) if seeds else "over 100" for seeds in needed),
        ])  # fmt: skip
    return TextTable(
        "What such a grid can see",
        f"From the spread of these runs: the smallest true difference of two arms that {fewest} "
        f"seeds see with {POWER:.0%} power, and the seeds that a given one needs.",
        ("tier", "spread by training", f"smallest, {fewest} seeds",
         *(f"seeds for {target:g}" for target in TARGETS)),
        rows,
    )  # fmt: skip
