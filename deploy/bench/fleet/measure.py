"""`stepcoder bench fleet`: the cost of the orchestration, each figure against a baseline.

| figure | baseline |
|---|---|
| `rollout_vs_bare_vllm` | the same engine in the same process, without Ray |
| `broadcast_vs_reload` | the engine's own `reload_weights` from shared memory |
| `broadcast_tiny_ms` | |
| `step_vs_slowest_stage` | the slower of two equal stages that overlap |
| `trainer_overhead` | the step's length |
| `driver_cpu_us_per_sample_at_<n>` | |
| `rank_reads_share_at_<n>` | the whole batch |
| `order_bytes_*`, `order_us_*` | |

Both sides of a ratio are measured in turn in one run, so that a busy machine slows both.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from actors.collectors.collector import Reading
from actors.collectors.group import CollectorGroup
from actors.collectors.messages import GroupOrder, Sampling
from actors.config import LoopConfig, PlacementConfig, RolloutConfig, WeightsConfig
from actors.learners.group import LearnerGroup
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.fleet import RolloutFleet
from actors.rollout.samples import Request
from actors.training.weight_sync import WeightSync
from curriculum.config import PromptConfig
from curriculum.prompts.encode import PromptEncoder
from curriculum.subtask import FULL_TASK, Subtask, cut
from curriculum.synthetic.problems import synthetic_problems
from deploy.bench.fleet.data_plane import data_plane
from deploy.bench.fleet.fake_actors import COMPLETION_TOKENS, steady_trainer
from deploy.bench.fleet.orders import orders
from deploy.bench.fleet.steady_actors import (
    GENERATE_S,
    LEARN_S,
    PROMPTS_PER_ENGINE,
    SAMPLES,
    DriverLoad,
    driver_load,
)
from deploy.bench.fleet.vllm_worker import BenchWorker
from deploy.bench.record import Figure
from deploy.cluster.simulated import simulated_cluster
from learner.config import LearnerConfig, ModelConfig
from learner.models.source import ModelSource
from learner.tokenizer import token_bytes
from sandbox import Limits

SEQUENCES, TOKENS = 96, 128
HUNDRED_MILLION = ModelConfig(hidden_size=768, layers=13, heads=12, intermediate_size=2048)
STAGE_S = 1.0
STEPS = 10
DEADLINE_S = 900.0


@dataclass
class Fleet:
    """A learner and its engines on one event loop."""

    learner: LearnerGroup
    fleet: RolloutFleet
    collectors: CollectorGroup
    sync: WeightSync
    loop: asyncio.Runner
    subtasks: list[Subtask]
    prompts: list[tuple[int, ...]]
    """The prompt of each subtask."""

    async def start(self, model: Path) -> None:
        """Load learner, engines and collectors together."""
        source = ModelSource(str(model))
        await asyncio.gather(
            self.fleet.start(source, "gloo"),
            self.learner.start(source, 1.0, model.parent / "faults"),
            self.collectors.start(),
        )

    async def stop(self) -> None:
        """End every actor."""
        self.collectors.stop()
        await self.fleet.stop()
        await self.learner.stop()

    def push(self) -> float:
        """One broadcast; its duration [seconds]."""
        self.loop.run(self.sync.push(self.fleet, self.fleet.version + 1))
        return self.sync.seconds

    def orders(self) -> list[GroupOrder]:
        """The load: `SEQUENCES` completions of at most `TOKENS` tokens, by prompt."""
        step = len(self.subtasks)
        return [
            GroupOrder(first, subtask, {i: i for i in range(first, SEQUENCES, step)})
            for first, subtask in enumerate(self.subtasks)
        ]

    def requests(self) -> list[Request]:
        """The same load as an engine gets it."""
        step = len(self.prompts)
        return [
            Request(i, prompt, i, TOKENS, 1.0)
            for first, prompt in enumerate(self.prompts)
            for i in range(first, SEQUENCES, step)
        ]


def measure(
    rounds: int, workers: Sequence[int], on_stage: Callable[[str], None]
) -> Iterator[Figure]:
    """Yield every figure as soon as it is measured.

    Args:
        rounds: turns of each comparison.
        workers: fleet sizes at which the growth of the figures is shown.
        on_stage: called with what is measured next.
    """
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        tiny = create_model(ModelConfig(), Path(scratch) / "tiny")
        large = create_model(HUNDRED_MILLION, Path(scratch) / "large")
        for count in workers:
            on_stage(f"{count} rollout worker(s), each on its own simulated node")
            with simulated_nodes(count), started_fleet(tiny, count) as fleet:
                yield from grown(fleet, count, rounds)
        on_stage("a model of 100 million parameters")
        with simulated_nodes(1), started_fleet(large, 1) as fleet:
            yield broadcast_against_reload(fleet, rounds)
    for count in workers:
        on_stage(f"the driver of {count} engine(s) that generate in a set time")
        yield from driver(count)
    on_stage("trajectories on their way to the learner's ranks")
    yield from data_plane(rounds)
    on_stage("orders on their way to a collector")
    yield from orders(rounds)
    on_stage("the loop on stages of a set length")
    yield overlap()


# ----------------------------------------------------------------------------- the loop


def overlap() -> Figure:
    """Length of a step at `max_staleness: 1` where generating and learning take the same time."""
    rows = run_loop(LoopConfig(steps=STEPS, prompts_per_step=16, max_staleness=1))
    steps = [row["seconds/step"] for row in rows[1:]]
    ratio = statistics.median(steps) / STAGE_S
    samples = tuple(step / STAGE_S for step in steps)
    return Figure(
        "step_vs_slowest_stage", ratio, "x", f"stages of {STAGE_S:g} s", 1.15, None, ratio <= 1.15,
        samples,
    )  # fmt: skip


def driver(count: int) -> Iterator[Figure]:
    """The driver's processor time for a sample, messages included; at one engine also the share of
    an on-policy step outside its stages: sampling, ledger, metrics."""
    # A process of its own, as a run's driver is: this one has a model and engines in its memory.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        load = alone.submit(_driver_load, count).result()
    cpu_us = statistics.median(load.cpu_us_per_sample)
    yield Figure(
        f"driver_cpu_us_per_sample_at_{count}", cpu_us, "us",
        f"{count} collector(s), {COMPLETION_TOKENS} tokens a sample", 100, None, cpu_us <= 100,
        load.cpu_us_per_sample,
    )  # fmt: skip
    if count > 1:
        return
    stages = ("seconds/wait", "seconds/learn", "seconds/broadcast")
    shares = [1 - sum(row[name] for name in stages) / row["seconds/step"] for row in load.rows[1:]]
    share = statistics.median(shares)
    yield Figure(
        "trainer_overhead", share, "", f"steps of {GENERATE_S + LEARN_S:g} s, "
        f"{PROMPTS_PER_ENGINE * SAMPLES} samples", 0.01, None, share <= 0.01, tuple(shares),
    )  # fmt: skip


def _driver_load(count: int) -> DriverLoad:
    with simulated_nodes(count):
        return asyncio.run(driver_load(count))


def run_loop(loop: LoopConfig) -> list[dict[str, float]]:
    """Run the real Trainer over stand-in stages; its metrics by step."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = steady_trainer(Path(folder) / "bench", loop, 8, STAGE_S, STAGE_S)
        asyncio.run(trainer.run())
        return trainer.folder.step_rows()


# ----------------------------------------------------------------------------- real engines


def create_model(shape: ModelConfig, folder: Path) -> Path:
    """A Hugging Face folder with random weights and a tokenizer for the bundled tasks."""
    from learner.models.networks import create_llama
    from learner.tokenizer import train_tokenizer

    texts = (f"{p.question}\n{p.solution}" for p in synthetic_problems(1, 40))
    tokenizer = train_tokenizer(texts, shape.vocab_size)
    create_llama(shape, tokenizer, seed=1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def simulated_nodes(count: int) -> Iterator[None]:
    """Simulated nodes for one learner and `count` engines, joined while inside."""
    with simulated_cluster() as cluster:
        cluster.add("learner-node", cpus=1)
        for i in range(count):
            cluster.add(f"rollout-node-{i}", cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def started_fleet(model: Path, count: int) -> Iterator[Fleet]:
    """A learner and `count` engines of `model`, ended on leaving."""
    from transformers import AutoTokenizer

    config = RolloutConfig(
        workers=count,
        max_num_seqs=SEQUENCES,
        max_new_tokens=TOKENS,
        start_timeout_s=DEADLINE_S,
    )
    tokenizer = AutoTokenizer.from_pretrained(model)
    problems = synthetic_problems(seed=2, per_tier=4)
    subtasks = [cut(problem, FULL_TASK, frozenset()) for problem in problems]
    encoder = PromptEncoder(tokenizer, token_bytes(tokenizer), PromptConfig())
    prompts = [encoder.encode(subtask).ids for subtask in subtasks]
    learner = LearnerGroup.create(
        LearnerConfig(critic_layers=1), PlacementConfig(), gpu=False, deadline_s=DEADLINE_S
    )
    sync = WeightSync(learner, WeightsConfig(), "gloo")
    fleet = RolloutFleet.create(
        config, gpu=False, worker=BenchWorker, on_engine_loaded=sync.update_engine
    )
    collectors = CollectorGroup.create(fleet, None, config, 1, tokenizer, Reading(Limits()))
    with asyncio.Runner() as loop:
        parts = Fleet(learner, fleet, collectors, sync, loop, subtasks, prompts)
        try:
            loop.run(parts.start(model))
            parts.push()
            yield parts
        finally:
            loop.run(parts.stop())


def grown(fleet: Fleet, count: int, rounds: int) -> Iterator[Figure]:
    """The figures that depend on the number of workers; at one worker, those with a target too."""
    broadcasts = [1e3 * fleet.push() for _ in range(3 * rounds)]
    rates, ratios = [], []
    # A turn takes a second, and a busy machine moves one turn's ratio by a quarter.
    for _ in range(3 * rounds if count == 1 else rounds):
        rate = fleet.loop.run(through_ray(fleet))
        rates.append(rate)
        if count == 1:
            bare: Any = ray.get(
                fleet.fleet.engines[0].actor.bare_rate.remote(fleet.requests()),
                timeout=DEADLINE_S,
            )
            ratios.append(rate / bare)
    median_ms, rate = statistics.median(broadcasts), statistics.median(rates)
    if count == 1:
        ratio = statistics.median(ratios)
        yield Figure(
            "rollout_vs_bare_vllm", ratio, "x", "the same engine without Ray", 0.95, None,
            ratio >= 0.95, tuple(ratios),
        )  # fmt: skip
        yield Figure(
            "broadcast_tiny_ms", median_ms, "ms", "", 60, None, median_ms <= 60, tuple(broadcasts)
        )
    yield Figure(
        f"rollout_tokens_per_s_at_{count}", rate, "tokens/s", f"{count} engine(s), "
        f"{os.cpu_count()} cores", None, None, True, tuple(rates),
    )  # fmt: skip
    yield Figure(
        f"broadcast_ms_at_{count}", median_ms, "ms", f"{count} engine(s)", None, None, True,
        tuple(broadcasts),
    )  # fmt: skip


async def through_ray(fleet: Fleet) -> float:
    """Tokens per second of the load, from the order to the last delivery."""
    started_at = time.monotonic()
    tokens = 0
    sampling = Sampling(1.0, 1.0, TOKENS)
    async for _, delivery in fleet.collectors.stream(fleet.orders(), sampling):
        for group in delivery.finished:
            tokens += sum(sample.tokens for sample in group.samples)
    return tokens / (time.monotonic() - started_at)


def broadcast_against_reload(fleet: Fleet, rounds: int) -> Figure:
    """Broadcast from the learner against the engine's own reload of the same weights."""
    engine = fleet.fleet.engines[0]
    reload_once(engine)
    ratios = [fleet.push() / reload_once(engine) for _ in range(rounds)]
    ratio = statistics.median(ratios)
    megabytes = fleet.sync.bytes / 1e6
    return Figure(
        "broadcast_vs_reload", ratio, "x", f"reload of {megabytes:.0f} MB from /dev/shm", 1.25,
        None, ratio <= 1.25, tuple(ratios),
    )  # fmt: skip


def reload_once(engine: EngineHandle) -> float:
    """Seconds of the engine's own `reload_weights`, generation paused as in a broadcast."""
    call = engine.actor.reload_from_disk.remote()
    return ray.get(call, timeout=DEADLINE_S)
