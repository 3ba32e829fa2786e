"""CollectorGroup: all collectors as one; groups of prompts in, finished groups out."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import ray
from ray import cloudpickle

from actors.cluster.ray_calls import no_options
from actors.collectors.collector import Reading
from actors.collectors.dispatch import OrderDispatcher
from actors.collectors.handle import CollectorHandle, RemoteClient, shares_of_engines
from actors.collectors.messages import Delivery, FinishedGroup, GroupOrder, Sampling
from actors.collectors.processor import ProcessorMeter
from actors.collectors.supervisor import CollectorSupervisor
from actors.collectors.wire import ProblemNumbers
from actors.collectors.worker import COLLECTOR_ENV, CollectorSetup, CollectorWorker
from actors.config import RolloutConfig
from actors.rollout.fleet import RolloutFleet
from actors.rollout.ledger import GENERATED, JUDGED, Ledger
from actors.rollout.round import JudgedGroup, Round
from actors.sandboxes.pool import SandboxPool
from curriculum.subtask import Subtask

_REMOTE_CODE = "transformers_modules"
"""Package of the classes that come with a model; no other process can import it."""


class CollectorGroup:
    """The driver's side of all collectors.

    The driver says what is asked, under which ids and seeds, and hears what came of it: one message
    for a collector's part of a round and a few for what it finishes meanwhile, whatever the number
    of samples. All methods belong to one event loop.

    Example:
        collectors = CollectorGroup.create(fleet, pool, config, seed, tokenizer, reading)
        await collectors.start()
        async with fleet.heartbeat(), collectors.heartbeat():
            finished = await collectors.collect(subtasks, 8, first_id=0, deadline_s=900)
        collectors.stop()
    """

    def __init__(
        self,
        handles: Sequence[CollectorHandle],
        fleet: RolloutFleet,
        pool: SandboxPool | None,
        config: RolloutConfig,
        seed: int,
        setup: Callable[[CollectorHandle], tuple[Any, ...]] | None = None,
    ) -> None:
        """Take charge of `handles`; `create` makes them.

        Args:
            handles: the collectors.
            fleet: all their engines.
            pool: the sandboxes; None where nothing is judged.
            config: how completions are drawn, and the deadlines.
            seed: of the run; with its id it seeds each sample.
            setup: as for `CollectorSupervisor`.
        """
        self._config = config
        self._seed = seed
        self._supervisor = CollectorSupervisor(handles, config, setup, pool)
        fleet.supervisor.ask_through([handle for handle in handles if handle.actor is not None])
        self._dispatcher = OrderDispatcher(self._supervisor, fleet.supervisor, pool, config)
        self._processor = ProcessorMeter()
        self._last_completion = 0.0
        """When the newest completion of any round arrived, by `time.monotonic()`."""

    @classmethod
    def create(
        cls,
        fleet: RolloutFleet,
        pool: SandboxPool | None,
        config: RolloutConfig,
        seed: int,
        tokenizer: Any,
        reading: Reading,
        nodes: Sequence[str] | None = None,
        options: Callable[[int], dict[str, Any]] = no_options,
    ) -> CollectorGroup:
        """Create the actors (named `collector-0`, ...); they get what they work with on
        `start()`.

        Args:
            fleet: the engines, which are shared out.
            pool: the sandboxes, which are shared out too, and are started before the collectors;
                None only generates.
            config: window and retries.
            seed: of the run.
            tokenizer: of the policy.
            reading: prompts, answers, rewards.
            nodes: the node of each engine; None says that they share one.
            options: further Ray options of an actor near engine `i`, such as its placement.
        """
        module = sys.modules[type(tokenizer).__module__]
        if module.__name__.partition(".")[0] == _REMOTE_CODE:
            cloudpickle.register_pickle_by_value(module)
        actor = ray.remote(CollectorWorker)
        places = list(nodes or [""] * len(fleet.engines))
        handles: list[CollectorHandle] = []
        numbers = ProblemNumbers()
        for number, engines in enumerate(shares_of_engines(places, config.engines_per_collector)):
            name = f"collector-{number}"
            settings = {
                "num_cpus": 0,
                "num_gpus": 0,
                "max_restarts": -1,
                # Every order and every control call is a call under way; none may queue up.
                "max_concurrency": 1000,
                "runtime_env": {"env_vars": COLLECTOR_ENV},
            }
            placed = {**options(engines[0]), **settings, "name": name}
            made = actor.options(**placed).remote(name)
            mine = tuple(fleet.engines[engine] for engine in engines)
            handles.append(CollectorHandle(name, RemoteClient(made, numbers), mine, made))

        shared = ray.put(tokenizer)

        def setup(handle: CollectorHandle) -> tuple[CollectorSetup, ray.ObjectRef[Any]]:
            index, count = handles.index(handle), len(handles)
            handle.client = RemoteClient(handle.actor, numbers)
            made = CollectorSetup(
                engines=tuple((engine.name, engine.actor) for engine in handle.engines),
                rollout=config,
                pool=pool.part(handle.caller, index, count) if pool else None,
                reading=reading,
                caller=handle.caller,
            )
            return made, shared

        return cls(handles, fleet, pool, config, seed, setup)

    async def start(self) -> None:
        """Start every collector; the sandboxes are warm by then.

        Raises:
            RunFailed: a collector could not start.
            TimeoutError: not all started within `rollout.start_timeout_s`.
        """
        await self._supervisor.start()

    def stop(self) -> None:
        """End the actors."""
        self._supervisor.stop()

    def heartbeat(self) -> AbstractAsyncContextManager[None]:
        """While inside, check every collector each `rollout.heartbeat_s`; restart dead ones."""
        return self._supervisor.heartbeat()

    @property
    def handles(self) -> tuple[CollectorHandle, ...]:
        """Every collector, whatever its state."""
        return self._supervisor.handles

    @property
    def restarts(self) -> int:
        """Collectors restarted so far."""
        return self._supervisor.restarts

    def busiest(self) -> float | None:
        """The largest share of a core that a collector's process used since the call before; None
        where none delivered twice meanwhile."""
        return self._processor.busiest()

    def stream(
        self,
        groups: Sequence[GroupOrder],
        sampling: Sampling,
        trajectories: bool = False,
        deadline_s: float | None = None,
        wait_s: float = 5.0,
    ) -> AsyncIterator[tuple[str, Delivery]]:
        """Yield every group once, in deliveries as they come, each with its collector's name.

        Of several calls at a time, the oldest is served first.

        Args:
            groups: what is asked.
            sampling: how completions are drawn.
            trajectories: as for `collect`.
            deadline_s: longest duration; None sets no limit [seconds].
            wait_s: longest time that a finished group waits for others to be delivered with; half
                a second where more is to be assigned [seconds].

        Raises:
            TimeoutError: it took longer than `deadline_s`; says how far it came. Or no sandbox
                worker answers.
            RunFailed: a part failed for good; a prompt leaves no room for a completion; a sample
                was lost with `rollout.retries` + 1 engines, or a group with as many collectors.
        """
        return self._dispatcher.stream(groups, sampling, trajectories, deadline_s, wait_s)

    async def collect(
        self,
        subtasks: Sequence[Subtask],
        samples_each: int,
        first_id: int,
        deadline_s: float,
        ledger: Ledger | None = None,
        temperature: float | None = None,
        top_p: float = 1.0,
        trajectories: bool = True,
        details: Collection[int] = (),
        programs: bool = False,
    ) -> Round:
        """Generate and judge one group of `samples_each` completions for every subtask.

        Sample ids run from `first_id`; each seeds its own sampling, so that a resumed run, or one
        with another number of collectors, draws the same random streams.

        Args:
            subtasks: what is asked.
            samples_each: completions of each.
            first_id: id of the first sample.
            deadline_s: longest duration [seconds].
            ledger: records each sample that is generated and judged.
            temperature: of the sampling; None is training's.
            top_p: of the sampling.
            trajectories: whether the samples are learned from, and so rewarded and packed.
            details: places of the subtasks whose samples' texts and verdicts are wanted.
            programs: whether the programs that passed are wanted.

        Raises:
            TimeoutError: as for `stream`.
            RunFailed: as for `stream`.
        """
        sampling = Sampling(
            self._config.temperature if temperature is None else temperature,
            top_p,
            self._config.max_new_tokens,
        )
        ids = itertools.count(first_id)
        groups: list[GroupOrder] = []
        for index, subtask in enumerate(subtasks):
            seeds = {i: (self._seed << 32) + i for i in itertools.islice(ids, samples_each)}
            groups.append(GroupOrder(index, subtask, seeds, index in details, programs))
        finished: dict[int, JudgedGroup] = {}
        peaks: dict[str, int] = {}
        outstanding: dict[str, int] = {}
        started = last = time.monotonic()
        stream = self.stream(groups, sampling, trajectories, deadline_s)
        async with aclosing(stream) as deliveries:  # type: ignore[type-var]
            async for name, delivery in deliveries:
                if delivery.completion_age_s is not None:
                    last = max(last, time.monotonic() - delivery.completion_age_s)
                peaks[name] = max(peaks.get(name, 0), delivery.peak_judging)
                outstanding[name] = delivery.outstanding_tokens
                self._processor.heard(name, delivery.processor_s, time.monotonic())
                for group in delivery.finished:
                    finished[group.index] = _judged_group(group, subtasks[group.index])
                    if ledger is not None:
                        for sample in group.samples:
                            ledger.reached(sample.sample_id, GENERATED)
                            ledger.reached(sample.sample_id, JUDGED)
        if started < self._last_completion < last:  # it waited for a round that was asked before
            started = self._last_completion
        self._last_completion = max(self._last_completion, last)
        return Round(
            groups=tuple(finished[index] for index in range(len(groups))),
            rollout_s=last - started,
            sandbox_s=time.monotonic() - last,
            peak_judging=sum(peaks.values()),
            outstanding_tokens=sum(outstanding.values()),
        )


def _judged_group(finished: FinishedGroup, subtask: Subtask) -> JudgedGroup:
    return JudgedGroup(
        subtask=subtask,
        prompt_tokens=finished.prompt_tokens,
        samples=finished.samples,
        trajectories=finished.trajectories,
        programs=finished.programs,
        packed_detail=finished.detail,
    )
