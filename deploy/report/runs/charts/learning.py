"""Charts of what is learned: pass rates by tier and stage, reward, outcomes, what FGO masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from actors.rollout.samples import OUTCOMES
from actors.training.breakdown import MOST_STAGES_LEFT
from actors.training.evaluate import HELDOUT
from curriculum.problem import TIERS
from deploy.report.runs.charts.chart import Chart, Line, Panel, Unit, line
from deploy.report.runs.charts.events import marks
from deploy.report.runs.charts.palette import run_colour
from deploy.report.runs.groups import Curve, RunGroup

OVERALL = "overall"

Figure = Callable[[RunGroup], Curve | None]


def learning_charts(groups: Sequence[RunGroup]) -> Iterator[Chart]:
    """Pass rates, in evaluations and in training."""
    suites = dict.fromkeys(suite for group in groups for run in group.runs for suite in run.suites)
    for suite in suites:
        yield _evaluation(groups, suite)
    prefixes = any(run.asks_prefixes for group in groups for run in group.runs)
    yield by_tier(
        groups, "training-pass-rate", "Pass rate in training",
        "Share of each step's programs that passed all tests"
        + (", with the prefix that the curriculum gives. It falls where prefixes become shorter."
           if prefixes else "."),
        lambda tier: _column("pass_rate" if tier == OVERALL else f"pass_rate/tier/{tier}"),
    )  # fmt: skip
    if prefixes:  # else they show the same again
        yield by_tier(
            groups, "full-task-pass-rate", "Pass rate on full tasks",
            "The same for the subtasks of training that give no prefix.",
            lambda tier: _column("pass_rate/full_task" + ("" if tier == OVERALL else f"/{tier}")),
        )  # fmt: skip
        yield by_stages_left(groups)
    yield overlay(
        groups, "reward", "Reward", "Mean of a step's samples; +1 for a program that passes.",
        "number", [("reward", "first", "reward")],
    )  # fmt: skip


def outcome_charts(groups: Sequence[RunGroup]) -> Iterator[Chart]:
    """The mix of outcomes, and what FGO masks of each."""
    names = [(outcome.replace("_", " "), outcome) for outcome in OUTCOMES]
    mix = [(name, outcome, f"outcome/{outcome}") for name, outcome in names]
    panels = panel_by_group(
        groups, lambda group: [of for of in lines(group, mix) if any(of.values)]
    )
    yield Chart(
        "outcomes", "Outcomes", "What became of a step's programs, as shares of those judged.",
        "area", "share", panels, wide=len(groups) == 1, whole=True,
    )  # fmt: skip
    share = "learner/masked_share"
    fgo = {run.config.get("learner.mask") for group in groups for run in group.runs} == {"fgo"}
    masked = [("all", OVERALL, share)]
    masked += [(name, outcome, f"{share}/{outcome}") for name, outcome in names]
    yield Chart(
        "masked", "Masked by FGO, by outcome" if fgo else "Masked, by outcome",
        "Share of the generated tokens that stay out of the policy loss, because no test executed "
        "them or because they were cut away." if fgo else
        "Share of the generated tokens that stay out of the policy loss, by `learner.mask` or "
        "because they were cut away.",
        "lines", "share", panel_by_group(groups, lambda group: lines(group, masked)), whole=True,
    )  # fmt: skip


def by_tier(
    groups: Sequence[RunGroup],
    id: str,
    title: str,
    caption: str,
    figure: Callable[[str], Figure],
    markers: bool = False,
) -> Chart:
    """A share by tier: one group has a line for each tier, several have a panel for each."""
    tiers = (OVERALL, *TIERS)
    if len(groups) == 1:
        [group] = groups
        drawn = [line(tier, tier, figure(tier)(group), markers=markers) for tier in tiers]
        panels = [Panel("", [*chain.from_iterable(drawn)], marks=marks(group))]
    else:
        panels = [Panel(tier, _of_groups(groups, figure(tier), markers=markers)) for tier in tiers]
    panels = [panel for panel in panels if panel.lines]
    return Chart(id, title, caption, "lines", "share", panels, wide=len(panels) > 1, whole=True)


def overlay(
    groups: Sequence[RunGroup],
    id: str,
    title: str,
    caption: str,
    unit: Unit,
    figures: Sequence[tuple[str, str, str]],
    **options: bool,
) -> Chart:
    """Figures given as name, colour and column.

    One group has a line for each figure in one panel, several have a panel for each figure.
    """
    if len(groups) == 1:
        [group] = groups
        panels = [Panel("", lines(group, figures), marks=marks(group))]
    else:
        single = len(figures) == 1
        panels = [
            Panel("" if single else name, _of_groups(groups, _column(column)))
            for name, _, column in figures
        ]
    panels = [panel for panel in panels if panel.lines]
    return Chart(id, title, caption, "lines", unit, panels, wide=len(panels) > 1, **options)


def by_stages_left(groups: Sequence[RunGroup]) -> Chart:
    """Pass rates by the stages that lead to the full task, a panel for each group."""
    left = [*map(str, range(MOST_STAGES_LEFT)), "more"]
    names = {"0": "full task", "1": "1 stage left"}
    figures = [
        (
            names.get(number, f"{number} left"),
            f"stage-{min(position, 4)}",
            f"pass_rate/stages_left/{number}",
        )
        for position, number in enumerate(left)
    ]
    return Chart(
        "pass-rate-by-stage", "Pass rate by stages left",
        "Pass rate in training by how many stages of the curriculum lead to the full task. More "
        "stages left mean a longer prefix.",
        "lines", "share", panel_by_group(groups, lambda group: lines(group, figures)), whole=True,
    )  # fmt: skip


def lines(group: RunGroup, figures: Sequence[tuple[str, str, str]]) -> list[Line]:
    """A line for each figure (name, colour, column) that a group has."""
    drawn = (line(name, colour, group.column(column)) for name, colour, column in figures)
    return [*chain.from_iterable(drawn)]


def panel_by_group(
    groups: Sequence[RunGroup], of_group: Callable[[RunGroup], list[Line]]
) -> list[Panel]:
    """A panel for each group that has any of the lines, named where there are several groups."""
    drawn = [(group, of_group(group)) for group in groups]
    return [
        Panel("" if len(groups) == 1 else group.label, made, marks=marks(group))
        for group, made in drawn
        if made
    ]


def _evaluation(groups: Sequence[RunGroup], suite: str) -> Chart:
    heldout = suite == HELDOUT
    several = any(len(group.runs) > 1 for group in groups)

    def figure(tier: str) -> Figure:
        def curve(group: RunGroup) -> Curve | None:
            made = group.curve(lambda run: run.evaluated(suite, f"pass_at_1/{tier}"))
            if made is None or several:  # bands of two kinds in one chart would mislead
                return made
            ends = [
                group.curve(lambda run, end=end: run.evaluated(suite, f"{end}/{tier}"))
                for end in ("low", "high")
            ]
            if any(end is None or end.steps != made.steps for end in ends):
                return made
            low, high = (end.mean if end else None for end in ends)
            return Curve(made.steps, made.mean, low, high)

        return curve

    band = "lowest and highest seed" if several else "95 % interval, clustered by problem"
    return by_tier(
        groups,
        "heldout" if heldout else f"suite-{suite}",
        "pass@1 on held-out problems" if heldout else f"pass@1 on {suite}",
        f"Problems that training never sees, asked from the empty prefix. Band: {band}.",
        figure,
        markers=True,
    )


def _column(name: str) -> Figure:
    return lambda group: group.column(name)


def _of_groups(groups: Sequence[RunGroup], figure: Figure, markers: bool = False) -> list[Line]:
    return [
        drawn
        for number, group in enumerate(groups)
        for drawn in line(group.label, run_colour(number), figure(group), markers=markers)
    ]
