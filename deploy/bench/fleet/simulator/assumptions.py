"""What the simulator takes as given: the fleet, and what each message and sample costs."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from actors.recording.rollout_file import read_rollouts, recorded_steps

_STRICT = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0)]


class Costs(BaseModel):
    """Processor time of the real code, measured on 2 busy cores (AMD EPYC) on 27 and 28 November
    2026.

    The driver's: `make bench-fleet` (actors/SCALING.md, "The driver"): a step and a collector in a
    round are what its figures at one and two engines differ by, a sample is measured apart. The
    others: `python -m deploy.bench.fleet.message_costs`. Both were measured at a few messages a
    second; in a busier process a message costs less, so that a large fleet is predicted too dear.
    The driver's are of the code before a delivery came with the answer to its call, which takes a
    fifth off.
    """

    model_config = _STRICT

    step_us: Positive = 2200
    """Driver, a step: figures, TensorBoard, what the writer of recorded rollouts is sent."""
    sample_us: Positive = 7
    """Driver, a sample: taken from its delivery, in ledger and metrics."""
    order_us: Positive = 4800
    """Driver, an order: its call, and the end of it."""
    group_us: Positive = 18
    """Driver, a group in an order: assigned and pickled."""
    delivery_us: Positive = 1700
    """Driver, a delivery, without its samples."""
    idle_share: Share = 0.0022
    """Driver, Ray's threads: share of a core where nothing happens."""
    call_us: Positive = 223
    """Driver or collector, a call of another actor and its answer."""
    completion_us: Positive = 614
    """Collector, a completion that arrives in an engine's stream."""
    reading_us: Positive = 577
    """Collector, a sample of 400 tokens: program, reward, trajectory."""
    placing_ns: Positive = 64
    """Collector, a program sent to a sandbox, for each worker that is compared."""


class Assumptions(BaseModel):
    """The fleet and its load. The defaults are those of actors/SCALING.md."""

    model_config = _STRICT

    engines: int = Field(default=512, ge=1)
    """Rollout engines."""
    engines_per_node: int = Field(default=8, ge=1)
    engines_per_collector: int = Field(default=8, ge=1)
    """`rollout.engines_per_collector`; a collector's engines are on one node."""
    tokens_per_s: Positive = 2500
    """Most tokens of one engine in a second."""
    sequence_tokens_per_s: Positive = 160
    """Most tokens of one sequence in a second; an engine with few sequences has fewer in all."""
    max_num_seqs: int = Field(default=128, ge=1)
    """`rollout.max_num_seqs`."""
    tokens: Positive = 400
    """Mean length of a completion."""
    tokens_spread: Share = 0.6
    """Standard deviation of the length's logarithm; 0: all have one length."""
    max_tokens: int = Field(default=2048, ge=1)
    """`rollout.max_new_tokens`."""
    prompt_tokens: int = Field(default=200, ge=1)
    slots: int = Field(default=10_000, ge=1)
    """Sandboxes."""
    slots_per_worker: int = Field(default=16, ge=1)
    """`pool.slots_per_worker`."""
    program_s: Positive = 0.1
    """Mean time that a program takes of a sandbox."""
    program_spread: Share = 1.0
    """As `tokens_spread`."""
    prompts: int = Field(default=1024, ge=1)
    """`loop.prompts_per_step`."""
    samples: int = Field(default=8, ge=1)
    """`rollout.samples_per_prompt`."""
    max_staleness: int = Field(default=1, ge=0)
    """`loop.max_staleness`."""
    learner_s: Share = 1.0
    """Time of an update, without the broadcast: a choice of how many GPUs learn."""
    broadcast_s: Share = 0.3
    """Time of a broadcast, in which the engines pause: 15 GB at 50 GB/s."""
    checks_before_broadcast: bool = True
    """Whether every engine is asked for a heartbeat first, as `WeightSync.push` does."""
    heartbeat_s: Positive = 5
    """`rollout.heartbeat_s`."""
    hop_s: Share = 0.001
    """Time of a message on its way."""
    bytes_per_token: Positive = 16
    """Of a packed trajectory."""
    learner_ranks: int = Field(default=16, ge=1)
    """Each is taken to read the whole batch, which is an upper bound: a rank is sent the facts of
    all samples and the tokens of its own."""
    network_gb_s: Positive = 50
    """Of the driver's node."""
    store_gb_s: Positive = 2
    """Copying into the object store of the driver's node, one thread."""
    steps: int = Field(default=3, ge=1)
    """Steps that are measured at least, after the first `max_staleness` + 1."""
    seed: int = 1
    costs: Costs = Costs()
    recorded_tokens: tuple[int, ...] = ()
    """Lengths to draw from, in place of `tokens`."""
    recorded_program_s: tuple[float, ...] = ()
    """Times to draw from, in place of `program_s`."""

    @property
    def round_samples(self) -> int:
        """Samples of a step."""
        return self.prompts * self.samples

    @property
    def measured_steps(self) -> int:
        """Steps that are measured. Rounds under way together may end together: only a multiple of
        their number averages over them."""
        together = self.max_staleness + 1
        return -(-self.steps // together) * together

    @property
    def mean_tokens(self) -> float:
        """Mean length of a completion [tokens]."""
        return fmean(self.recorded_tokens) if self.recorded_tokens else self.tokens

    @property
    def workers(self) -> int:
        """Sandbox workers."""
        return max(1, self.slots // self.slots_per_worker)

    @property
    def capacities(self) -> dict[str, str]:
        """What each part has, in words."""
        collectors = -(-self.engines // min(self.engines_per_node, self.engines_per_collector))
        return {
            "engines": f"{self.tokens_per_s:,g} tokens/s",
            "driver": "1 core",
            "collectors": f"{collectors:,} x 1 core",
            "sandbox slots": f"{self.workers * self.slots_per_worker:,}",
            "pool clients": "their slots",
            "object store": f"{self.store_gb_s:g} GB/s",
            "driver's network": f"{self.network_gb_s:g} GB/s",
            "weights": "share of a step",
            "learner": "share of a step",
        }

    def grown(self, engines: int) -> Assumptions:
        """The same load for each engine on so many; the sandboxes stay."""
        prompts = max(1, self.prompts * engines // self.engines)
        return self.model_copy(update={"engines": engines, "prompts": prompts})

    def full(self) -> Assumptions:
        """The same with engines that hardly wait: completions of one length, two rounds ahead."""
        return self.model_copy(
            update={
                "tokens": self.mean_tokens,
                "tokens_spread": 0.0,
                "recorded_tokens": (),
                "max_staleness": max(2, self.max_staleness),
            }
        )

    def lengths(self, rng: random.Random) -> Callable[[], int]:
        """Draws the length of a completion [tokens]."""
        known = self.recorded_tokens
        if known:
            return lambda: rng.choice(known)
        draw = lognormal(rng, self.tokens, self.tokens_spread)
        return lambda: max(1, min(self.max_tokens, round(draw())))

    def program_times(self, rng: random.Random) -> Callable[[], float]:
        """Draws the time of a program [seconds]."""
        known = self.recorded_program_s
        if known:
            return lambda: rng.choice(known)
        return lognormal(rng, self.program_s, self.program_spread)


def lognormal(rng: random.Random, mean: float, spread: float) -> Callable[[], float]:
    """Draws from a lognormal distribution with this mean; `spread` is that of the logarithm."""
    middle = math.log(mean) - spread**2 / 2
    return lambda: rng.lognormvariate(middle, spread)


def recorded(folder: Path) -> dict[str, Any]:
    """Lengths of completions and times of programs in the recorded rollouts of a run.

    Args:
        folder: of the run.

    Raises:
        FileNotFoundError: there are none.
        RunFailed: a file is damaged.
    """
    samples = [
        sample
        for path in recorded_steps(folder / "rollouts")
        for group in read_rollouts(path)
        for sample in group["samples"]
    ]
    tokens = tuple(len(s["token_ids"]) for s in samples if s["token_ids"])
    if not tokens:
        raise FileNotFoundError(f"{folder}: no recorded rollouts; loop.record keeps them")
    times = tuple(s["wall_seconds"] for s in samples if s["wall_seconds"] > 0)
    return {"recorded_tokens": tokens, "recorded_program_s": times}


def read_costs(path: Path) -> Costs:
    """The costs of a file; what it leaves out is as measured.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else; pydantic's errors are ValueErrors.
    """
    return Costs.model_validate(json.loads(path.read_text()))
