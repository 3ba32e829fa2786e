"""What a simulated fleet comes to: utilisation by part, the tail of a round, what saturates."""

from __future__ import annotations

import asyncio
import gc
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from deploy.bench.fleet.simulator.assumptions import Assumptions, Costs
from deploy.bench.fleet.simulator.driver import Simulation
from deploy.bench.record import Figure

ENGINES, DRIVER, LEARNER, WEIGHTS = "engines", "driver", "learner", "weights"
MOST_DRIVER, MOST_PART = 0.3, 0.7
CHOSEN = (ENGINES, LEARNER, WEIGHTS)
"""Parts whose load does not tell how far the design scales: the engines are what is to be full, and
the size of the learner and the length of a step are choices."""
REMEDIES = {
    DRIVER: "more samples a step (--prompts, --samples), or more engines of a node and collector "
    "(--engines-per-node, --engines-per-collector)",
    "collectors": "fewer engines of a collector (--engines-per-collector)",
    "sandbox slots": "more slots (--slots)",
    "pool clients": "more slots (--slots)",
}
"""What helps where a part is full, as options of the simulation."""
NEAR = 0.4
"""Largest share by which a prediction may differ from its measurement."""


@dataclass(frozen=True)
class Prediction:
    """What one fleet comes to, over its measured steps."""

    given: Assumptions
    load: dict[str, float]
    """Share of its capacity that is in use, by part; of several, their mean."""
    busiest: dict[str, float]
    """As `load`, of the busiest one."""
    waits_s: dict[str, float]
    """Longest wait in the queue of a part, by part [seconds]."""
    step_s: float
    """Mean length of a step [seconds]."""
    samples_per_s: float
    messages_per_round: float
    """Orders, deliveries and calls of the driver, heartbeats included."""
    driver_us_per_sample: float
    """Processor time of the driver [us]."""
    completed_s: dict[str, float]
    """When this part of a round's samples is generated, since its start [seconds]."""

    @property
    def first(self) -> str:
        """The part with the largest load, of those that limit the design."""
        return max((part for part in self.load if part not in CHOSEN), key=self.busiest.__getitem__)


def predict(
    given: Assumptions, progress: Callable[[int], Callable[[], None]] | None = None
) -> Prediction:
    """Simulate one fleet.

    Args:
        given: the fleet.
        progress: called with the number of steps; what it returns is called after each.

    Raises:
        TimeoutError: a step takes longer than `loop.step_timeout_s`.
    """
    simulation = Simulation(given)
    if progress is not None:
        simulation.on_step = progress(simulation.steps)
    before_gc = gc.get_threshold()
    gc.set_threshold(200_000)  # hundreds of thousands of small objects live at a time
    try:
        asyncio.run(simulation.run())
    finally:
        gc.set_threshold(*before_gc)
    warm, steps = given.max_staleness + 1, given.measured_steps
    before, after = simulation.snapshots[warm], simulation.snapshots[warm + steps]
    seconds = after.now_s - before.now_s
    used = {
        part: [(b - a) / seconds for a, b in zip(before.used_s[part], spent, strict=True)]
        for part, spent in after.used_s.items()
    }
    used[DRIVER] = [min(1.0, share + given.costs.idle_share) for share in used[DRIVER]]
    engines = (after.tokens - before.tokens) / (seconds * given.engines * given.tokens_per_s)
    collectors = simulation.collectors.values()
    samples = steps * given.round_samples
    measured = simulation.rounds[warm : warm + steps]
    whole = [sorted(each.completions_s) for each in measured]
    return Prediction(
        given=given,
        load={ENGINES: engines, **{part: fmean(shares) for part, shares in used.items()}},
        busiest={ENGINES: engines, **{part: max(shares) for part, shares in used.items()}},
        waits_s={
            DRIVER: simulation.driver.longest_wait,
            "collectors": max(each.processor.longest_wait for each in collectors),
            "pool clients": max(each.slots.longest_wait for each in collectors),
            "sandbox slots": max(each.longest_wait for each in simulation.sandboxes),
        },
        step_s=seconds / steps,
        samples_per_s=samples / seconds,
        messages_per_round=(after.messages - before.messages) / steps,
        driver_us_per_sample=1e6 * used[DRIVER][0] * seconds / samples,
        completed_s={
            name: fmean(times[min(len(times) - 1, int(share * len(times)))] for times in whole)
            for name, share in (("half", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("all", 1.0))
        },
    )


def figures(predictions: Sequence[Prediction], kind: str) -> Iterator[Figure]:
    """The figures of a sweep; the first fleet is the one that must reach the targets.

    Args:
        predictions: by growing number of engines.
        kind: names the load.
    """
    for prediction in predictions:
        engines, asked = prediction.given.engines, prediction is predictions[0]
        for part, share in prediction.load.items():
            target = None
            if asked and part not in CHOSEN:
                target = MOST_DRIVER if part == DRIVER else MOST_PART
            yield Figure(
                f"{kind}_{re.sub('[^a-z]+', '_', part)}_at_{engines}", share, "",
                "share of its capacity", target, None, target is None or share <= target,
            )  # fmt: skip
        for name, value, unit in (
            ("messages_per_round", prediction.messages_per_round, ""),
            ("driver_us_per_sample", prediction.driver_us_per_sample, "us"),
            ("step_s", prediction.step_s, "s"),
            ("samples_per_s", prediction.samples_per_s, "samples/s"),
            *((f"round_{re.sub('[^a-z0-9]+', '', part)}_s", seconds, "s")
              for part, seconds in prediction.completed_s.items()),
            *((f"longest_wait_{part.replace(' ', '_')}_s", seconds, "s")
              for part, seconds in prediction.waits_s.items()),
        ):  # fmt: skip
            yield Figure(f"{kind}_{name}_at_{engines}", value, unit, "", None, None, True)


def saturated(predictions: Sequence[Prediction]) -> str:
    """In words: the first part to saturate as the fleet grows."""
    for prediction in predictions:
        share = prediction.busiest[prediction.first]
        if share > MOST_PART:
            engines = prediction.given.engines
            remedy = REMEDIES.get(prediction.first)
            helps = f"; what helps: {remedy}" if remedy else ""
            return f"{prediction.first} first: {share:.2f} at {engines:,} engines{helps}"
    last = predictions[-1]
    return (
        f"no part but the engines is above {MOST_PART:g} up to {last.given.engines:,} engines; "
        f"{last.first} comes nearest with {last.busiest[last.first]:.2f}"
    )


# ----------------------------------------------------------------------------- measurements


def as_measured(engines: int, costs: Costs) -> Assumptions:
    """The fleet of `stepcoder bench fleet`, its part `driver_cpu_us_per_sample_at_N`."""
    from deploy.bench.fleet.fake_actors import COMPLETION_TOKENS
    from deploy.bench.fleet.steady_actors import (
        GENERATE_S,
        LEARN_S,
        PROMPTS_PER_ENGINE,
        SAMPLES,
    )

    rate = PROMPTS_PER_ENGINE * SAMPLES * COMPLETION_TOKENS / GENERATE_S
    return Assumptions(
        engines=engines, engines_per_node=1, tokens_per_s=rate, sequence_tokens_per_s=rate,
        tokens=COMPLETION_TOKENS, tokens_spread=0, max_tokens=COMPLETION_TOKENS, slots=32 * engines,
        slots_per_worker=32 * engines, program_s=1e-6, program_spread=0,
        prompts=PROMPTS_PER_ENGINE * engines, samples=SAMPLES, max_staleness=0, learner_s=LEARN_S,
        broadcast_s=0, checks_before_broadcast=False, steps=2, costs=costs,
    )  # fmt: skip


def measurements(path: Path) -> dict[int, float]:
    """Processor time of the driver for a sample by number of engines, from `fleet.json` [us].

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no record of `bench fleet`.
    """
    record = json.loads(path.read_text())
    try:
        named = {figure["name"]: figure for figure in record["figures"]}
        values = {name: figure["samples"] or [figure["value"]] for name, figure in named.items()}
    except (KeyError, TypeError):
        raise ValueError("no record of a benchmark") from None
    prefix = "driver_cpu_us_per_sample_at_"
    known = {
        int(name.removeprefix(prefix)): median(samples)
        for name, samples in values.items()
        if name.startswith(prefix)
    }
    if not known:
        raise ValueError(f"it has no figure {prefix}<n>")
    return known


MEASURED = {1: 120.0, 2: 92.0}
"""`make bench-fleet` on 2 busy cores, 28 November 2026 (actors/SCALING.md, "The driver") [us]."""


def held_against(measured: dict[int, float], costs: Costs) -> Iterator[Figure]:
    """The prediction for each fleet that was measured, as a share of the measurement."""
    for engines, value in sorted(measured.items()):
        predicted = predict(as_measured(engines, costs)).driver_us_per_sample
        off = predicted / value - 1
        yield Figure(
            f"predicted_driver_us_per_sample_at_{engines}", predicted, "us",
            f"{value:.0f} measured ({off:+.0%})", None, None, abs(off) <= NEAR,
        )  # fmt: skip
