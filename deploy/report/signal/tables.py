"""Measurements of the gradient's signal as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploy.report.ablation.table import Cell, IntervalCell, TextTable
from deploy.signal.positions import PARTS
from deploy.signal.stored import StoredEstimate, StoredPart, StoredSignal


def mask_table(signal: StoredSignal) -> TextTable:
    """Ratio, difference and agreement of every mask, over all groups."""
    every = signal.parts[0]
    rows = [
        [
            mask,
            interval_cell(found.ratio),
            interval_cell(found.difference, signed=True),
            interval_cell(found.agreement, digits=2),
        ]
        for mask, found in every.masks.items()
    ]
    shares = ", ".join(f"{share:.0%} {factor}" for factor, share in signal.shares.items())
    caption = (
        f"{signal.checkpoint}, {every.groups} groups of the next "
        f"{'step' if signal.steps == 1 else f'{signal.steps} steps'}; {shares}. Intervals: 95 %, "
        "bootstrap over groups."
    )
    columns = [
        "mask",
        "signal / noise",
        f"less {signal.baseline}",
        f"cosine with {signal.baseline}",
    ]
    return TextTable(f"Signal of the gradient: {signal.name}", caption, columns, rows)


def condition_table(signals: Sequence[StoredSignal]) -> TextTable:
    """One row for each measurement."""
    masks = compared_masks(signals)
    rows: list[list[Cell]] = []
    for signal in signals:
        every = signal.parts[0]
        baseline = every.masks[signal.baseline].ratio
        row: list[Cell] = [
            signal.name, str(every.groups), *(f"{share:.0%}" for share in signal.shares.values()),
            interval_cell(baseline),
        ]  # fmt: skip
        rows.append([*row, *(difference_cell(every, mask) for mask in masks)])
    factors = list(signals[0].shares)
    columns = ["policy and rollouts", "groups", *factors, signals[0].baseline]
    return TextTable(
        "By policy and training",
        "Signal-to-noise ratio of the policy gradient without a mask, and the change that each "
        "mask makes, paired by group. A ratio of 0.05 means that 20 groups make a gradient of "
        "which half is signal.",
        [*columns, *(f"{mask} less {signals[0].baseline}" for mask in masks)],
        rows,
    )


def part_table(signals: Sequence[StoredSignal]) -> TextTable:
    """One row for each part of each measurement, but for all groups."""
    masks = compared_masks(signals)
    rows = [
        [
            signal.name, part.factor, part.level,
            "–" if part.mean is None else f"{part.mean:.0%}", str(part.groups),
            *(difference_cell(part, mask) for mask in masks),
        ]
        for signal in signals
        for part in signal.parts[1:]
    ]  # fmt: skip
    columns = ["policy and rollouts", "groups by", "which", "mean", "groups"]
    return TextTable(
        "By property of the groups",
        "The same for the groups of a tier, and for thirds of the groups by the share of their "
        "tokens that never ran, of programs that raised, and of programs that passed.",
        [*columns, *(f"{mask} less {signals[0].baseline}" for mask in masks)],
        rows,
        words=3,
    )


def position_table(signals: Sequence[StoredSignal]) -> TextTable:
    """What is learned from, and the entropy, by part of the response."""
    rows: list[list[Cell]] = []
    for signal in signals:
        found = signal.positions
        for mask, shares in found.learned_share.items():
            rows.append([signal.name, f"in the loss, {mask}", *(f"{x:.0%}" for x in shares)])
        for mask, pushed in found.advantage.items():
            rows.append([signal.name, f"advantage, {mask}", *(f"{x:+.3f}" for x in pushed)])
        for outcome, entropies in found.entropy.items():
            rows.append([signal.name, f"entropy, {outcome}", *(f"{x:.3f}" for x in entropies)])
    return TextTable(
        "By place in the response",
        "Responses in fifths, from the beginning: share of the tokens in the policy loss; their "
        "advantages, summed over the tokens in the loss and divided by all tokens; mean entropy "
        "of the policy [nats] by outcome. A mask with a higher advantage than none pushes tokens "
        "up more.",
        ["policy and rollouts", "figure", *(f"fifth {n}" for n in range(1, PARTS + 1))],
        rows,
        words=2,
    )


def sentences(signals: Sequence[StoredSignal]) -> Iterator[str]:
    """In words: in how many measurements a mask changes the ratio beyond noise."""
    for mask in compared_masks(signals):
        differences = [
            found.difference
            for signal in signals
            if (found := signal.parts[0].masks.get(mask)) is not None
        ]
        more = sum(1 for d in differences if d and d.low is not None and d.low > 0)
        less = sum(1 for d in differences if d and d.high is not None and d.high < 0)
        yield (
            f"Mask {mask}: the ratio is higher than with {signals[0].baseline} beyond noise in "
            f"{more}, lower in {less} of {len(differences)} measurements."
        )


def compared_masks(signals: Sequence[StoredSignal]) -> list[str]:
    """The masks that are compared with the baseline, in their order."""
    names = [mask for s in signals for mask in s.parts[0].masks if mask != s.baseline]
    return list(dict.fromkeys(names))


def difference_cell(part: StoredPart, mask: str) -> Cell:
    """The change that a mask makes; a dash where it was not measured."""
    found = part.masks.get(mask)
    return interval_cell(found.difference if found else None, signed=True)


def interval_cell(estimate: StoredEstimate | None, signed: bool = False, digits: int = 4) -> Cell:
    """A figure with its interval, where they are numbers."""
    if estimate is None or estimate.value is None:
        return "–"
    form = f"{'+' if signed else ''}.{digits}f"
    text = f"{estimate.value:{form}}"
    if estimate.low is None or estimate.high is None:
        return text
    text += f" [{estimate.low:{form}}, {estimate.high:{form}}]"
    return IntervalCell(text, estimate.value, estimate.low, estimate.high)
