"""`stepcoder bench fleet --simulate`: predictions as a table, a file, and an exit status."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.bench.fleet.simulator.assumptions import Assumptions
from deploy.bench.fleet.simulator.prediction import (
    CHOSEN,
    DRIVER,
    MOST_DRIVER,
    MOST_PART,
    Prediction,
    figures,
    held_against,
    predict,
    saturated,
)
from deploy.bench.record import print_figures, write_record
from deploy.progress import StageProgress

logger = logging.getLogger(__name__)

BENCH = "fleet-simulated"
BOUNDARY = f"""\
!: above {MOST_DRIVER:g} for the driver, above {MOST_PART:g} for another part. The exit status is 1
where the mean of a part is in the smallest fleet, or a prediction is not near its measurement.
Pool clients: the share of its own sandbox slots that a collector uses.
Wait: the longest one in the queue of a part.
Real code: which collector, engine and sandbox worker gets what (both `assign`, `SandboxPool`), the
engines of a collector, when a round may start (`Rounds`), and the ledger of every sample.
Modelled: time. Engines share their tokens among their sequences, a program holds a slot, and each
process is one core that serves its messages in order, at the measured cost of each.
Left out: the reading of prompts, failures, evaluations, checkpoints, Ray's own services, what the
learner and the engines do for a broadcast, slow machines, and networks but that of the driver."""


def simulate(
    given: Assumptions, sizes: Sequence[int], measured: dict[int, float], folder: Path
) -> int:
    """Predict, print, and write `<folder>/fleet-simulated.json`.

    Args:
        given: the fleet that must reach the targets.
        sizes: larger fleets with the same load for each engine.
        measured: what the predictions at few engines are held against; see `MEASURED`.
        folder: where the file goes.

    Returns:
        0 if every figure reached its target, else 1.
    """
    held = []
    for figure in held_against(measured, given.costs):
        logger.info("%s %.4g %s: %s", figure.name, figure.value, figure.unit, figure.baseline)
        held.append(figure)
    full: list[Prediction] = []
    with StageProgress() as progress:
        spread = _predict(given, "lengths drawn", progress)
        for size in (given.engines, *sizes):
            fleet = given.full().grown(size)
            full.append(_predict(fleet, "one length, engines full", progress))
    console = Console(width=130, highlight=False)
    console.print(fleets_table([spread, *full]))
    print_figures("predicted and measured", held, console)
    console.print(f"drawn lengths: {saturated([spread])}\nfull engines: {saturated(full)}\n")
    console.print(BOUNDARY)
    made = [*held, *figures([spread], "drawn"), *figures(full, "full")]
    logger.info("written: %s", write_record(BENCH, made, folder))
    return 0 if all(figure.ok for figure in made) else 1


def _predict(given: Assumptions, lengths: str, progress: StageProgress) -> Prediction:
    stage = f"{given.engines} engines, {given.round_samples} samples a step, {lengths}"

    def begin(steps: int) -> Callable[[], None]:
        progress.begin(stage, steps)
        return progress.step

    return predict(given, begin)


def fleets_table(predictions: Sequence[Prediction]) -> Table:
    """A column for each fleet: the load of its parts, then what a round is like."""
    first = predictions[0].given
    table = Table(title=f"simulated fleet, seed {first.seed}", title_justify="left", box=box.SIMPLE)
    table.add_column("load: mean, busiest")
    table.add_column("")
    for prediction in predictions:
        given = prediction.given
        kind = "drawn lengths" if prediction is predictions[0] else "full engines"
        table.add_column(f"{given.engines:,} engines\n{kind}", justify="right")
    for part, capacity in first.capacities.items():
        cells = [_load(each, part) for each in predictions]
        table.add_row(part, capacity if part != "collectors" else "1 core each", *cells)
    table.add_section()
    for name, unit, values in (
        ("step", "s", [f"{p.step_s:.2f}" for p in predictions]),
        ("samples", "1/s", [f"{p.samples_per_s:,.0f}" for p in predictions]),
        ("driver, a sample", "us", [f"{p.driver_us_per_sample:.0f}" for p in predictions]),
        ("messages of a step", "", [f"{p.messages_per_round:,.0f}" for p in predictions]),
        *((f"{part} generated", "s", [f"{p.completed_s[part]:.1f}" for p in predictions])
          for part in predictions[0].completed_s),
        *((f"wait: {part}", "s", [f"{p.waits_s[part]:.2f}" for p in predictions])
          for part in predictions[0].waits_s),
    ):  # fmt: skip
        table.add_row(name, unit, *values)
    return table


def _load(prediction: Prediction, part: str) -> str:
    mean, most = prediction.load[part], prediction.busiest[part]
    text = f"{mean:.3f}" if most - mean < 0.01 else f"{mean:.3f}, {most:.2f}"
    limit = MOST_DRIVER if part == DRIVER else MOST_PART
    return text if part in CHOSEN or most <= limit else f"[bold]{text} ![/bold]"
