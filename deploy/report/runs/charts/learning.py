"""Charts of what is learned: pass rates by tier and stage, reward, outcomes, what FGO masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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
    yield by_tier(
        groups, "training-pass-rate", "Pass rate in training",
        "Share of each step's programs that passed all tests, with the prefix that the curriculum "
        "gives. It falls where prefixes become shorter.",
        lambda tier: _column("pass_rate" if tier == OVERALL else f"pass_rate/tier/{tier}"),
    )  # fmt: skip
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
    panels = []
    for group in groups:
        lines = [
            drawn
            for outcome in OUTCOMES
            for drawn in line(
                outcome.replace("_", " "), outcome, group.column(f"outcome/{outcome}")
            )
            if any(drawn.values)
        ]
        panels.append(Panel(_title(group, groups), lines))
    yield Chart(
        "outcomes", "Outcomes", "What became of a step's programs, as shares of those judged.",
        "area", "share", panels, wide=len(groups) == 1, whole=True,
    )  # fmt: skip
    masked = []
    for group in groups:
        lines = line("all", OVERALL, group.column("learner/masked_share"))
        for outcome in OUTCOMES:
            curve = group.column(f"learner/masked_share/{outcome}")
            lines += line(outcome.replace("_", " "), outcome, curve)
        masked.append(Panel(_title(group, groups), lines))
    yield Chart(
        "masked", "Masked by FGO, by outcome",
        "Share of the generated tokens that stay out of the policy loss, because no test executed "
        "them or because they were cut away.",
        "lines", "share", masked, whole=True,
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
        lines = [
            drawn for tier in tiers for drawn in line(tier, tier, figure(tier)(group),
                                                      markers=markers)
        ]  # fmt: skip
        panels = [Panel("", lines, marks=marks(group))]
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
        lines = [
            drawn
            for name, colour, column in figures
            for drawn in line(name, colour, group.column(column))
        ]
        panels = [Panel("", lines, marks=marks(group))]
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
    panels = []
    for group in groups:
        lines = [
            drawn
            for position, number in enumerate(left)
            for drawn in line(
                names.get(number, f"{number} left"),
                f"stage-{min(position, 4)}",
                group.column(f"pass_rate/stages_left/{number}"),
            )
        ]
        panels.append(Panel(_title(group, groups), lines))
    return Chart(
        "pass-rate-by-stage", "Pass rate by stages left",
        "Pass rate in training by how many stages of the curriculum lead to the full task. More "
        "stages left mean a longer prefix.",
        "lines", "share", panels, whole=True,
    )  # fmt: skip


def _evaluation(groups: Sequence[RunGroup], suite: str) -> Chart:
    heldout = suite == HELDOUT

    def figure(tier: str) -> Figure:
        def curve(group: RunGroup) -> Curve | None:
            made = group.curve(lambda run: run.evaluated(suite, f"pass_at_1/{tier}"))
            if made is None or len(group.runs) > 1:
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

    several = any(len(group.runs) > 1 for group in groups)
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


def _title(group: RunGroup, groups: Sequence[RunGroup]) -> str:
    return "" if len(groups) == 1 else group.label
