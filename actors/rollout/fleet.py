"""RolloutFleet: the driver's side of all rollout workers."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from actors.cluster.ray_calls import ACTIONABLE, answers, no_options, reborn
from actors.config import RolloutConfig
from actors.errors import ActorLost, RunFailed
from actors.rollout.engine_handle import Ended, Member, by_prompt, deal
from actors.rollout.samples import Completion, Request
from actors.rollout.worker import RolloutWorker, engine_env

_REVIVALS = 3
"""Times in a row that loading may fail while no other engine is there, before the run ends."""


class RolloutFleet:
    """Launches the workers, spreads requests over them, and replaces engines that fail.

    An engine that dies, hangs or misses a weight update is killed and loaded again while the
    others take over its requests. It gets no request until `bring_up`, which `WeightSync` sets,
    has given it the current weights. All methods belong to one event loop.
    """

    def __init__(
        self,
        config: RolloutConfig,
        gpu: bool,
        options: Callable[[int], dict[str, Any]] = no_options,
        worker: type[RolloutWorker] = RolloutWorker,
        colocated: bool = False,
    ) -> None:
        """Create the actors.

        Args:
            config: how many, and how they sample.
            gpu: whether engines run on GPUs.
            options: further Ray options of worker `i`, such as where it is placed.
            worker: class of the actors.
            colocated: whether engines share the learner's GPUs, and so must rest when told.
        """
        self.config = config
        self.gpu = gpu
        self.colocated = colocated
        self.version = 0
        """Weights that every new completion must be written with."""
        self.restarts = 0
        """Engines started again so far."""
        self.bring_up: Callable[[Member], Awaitable[None]] | None = None
        self.say: Callable[[str], None] = lambda line: None
        actor = ray.remote(worker)
        self.members = [
            Member(
                f"rollout-{i}",
                actor.options(
                    **{
                        "name": f"rollout-{i}",
                        "num_cpus": config.threads,
                        "num_gpus": config.tensor_parallel if gpu else 0,
                        "max_restarts": -1,
                        "max_concurrency": 4096,
                        "runtime_env": {"env_vars": engine_env(config, gpu, colocated)},
                    }
                    | options(i)
                ).remote(config, f"rollout-{i}"),
            )
            for i in range(config.workers)
        ]
        self._start_arguments: tuple[str, str, bool, bool] = ("", "", gpu, colocated)
        self._queues: dict[asyncio.Queue[Any], deque[list[Request]]] = {}
        """Who waits for news, the eldest first, and the requests it has not dealt yet."""
        self._revivals: set[asyncio.Task[None]] = set()
        self._engines_turn = asyncio.Event()
        """Cleared while a colocated learner has the GPUs."""
        self._engines_turn.set()
        self._broken: BaseException | None = None
        self._stopped = False

    async def start(self, model_dir: Path, weights_backend: str) -> list[dict[str, str]]:
        """Load every engine; returns the versions of packages that each runs.

        Raises:
            RunFailed: an engine could not load the model.
            TimeoutError: not all loaded within `rollout.start_timeout_s`.
        """
        self._start_arguments = (str(model_dir), weights_backend, self.gpu, self.colocated)
        calls = [m.actor.start.remote(*self._start_arguments) for m in self.members]
        reports = await answers("rollout: start", calls, self.config.start_timeout_s)
        for member in self.members:
            member.loaded = True
        return reports

    def loaded(self) -> list[Member]:
        """Members whose engine answers."""
        return [member for member in self.members if member.loaded]

    def ready(self) -> list[Member]:
        """Members whose engine answers and holds the current weights."""
        return [member for member in self.loaded() if member.version == self.version]

    def holds(self, member: Member, version: int) -> None:
        """`member` was brought to `version`."""
        member.version = version
        self._tell()

    @property
    def outstanding(self) -> int:
        """Tokens that the fleet may still have to read and write."""
        return sum(member.tokens for member in self.members)

    # ------------------------------------------------------------------------- generation

    async def generate(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        """Yield every completion once, as it ends, from whichever worker.

        Requests with one prompt go to the same worker, which then holds its prefix once. What a
        failed engine leaves undone is asked of another with the same seeds. Of several calls at a
        time, those made first are served first.

        Raises:
            RunFailed: no engine is left, or a request has outlived `rollout.retries` engines.
        """
        waiting = by_prompt(requests)
        attempts: Counter[int] = Counter()
        running = 0
        finished: asyncio.Queue[Completion | Ended | None] = asyncio.Queue()
        streams: set[asyncio.Task[None]] = set()
        self._queues[finished] = waiting
        try:
            while waiting or running:
                if self._broken:
                    raise self._broken
                if waiting and self._is_first(finished):
                    for member, share in deal(waiting, self.ready(), 2 * self.config.max_num_seqs):
                        work = self._stream(member, share, finished.put_nowait)
                        stream = asyncio.create_task(work)
                        streams.add(stream)
                        stream.add_done_callback(streams.discard)
                        running += 1
                    if not waiting:
                        self._tell_later(finished)
                item = await finished.get()
                if isinstance(item, Completion):
                    yield item
                    self._tell_later(finished)
                elif isinstance(item, Ended):
                    running -= 1
                    self._count_attempts(item, attempts)
                    waiting.extendleft(reversed(by_prompt(item.unfinished)))
        finally:
            self._tell_later(finished)
            del self._queues[finished]
            for stream in streams:
                stream.cancel()

    def _is_first(self, queue: asyncio.Queue[Any]) -> bool:
        """Whether no call that was made earlier has requests left to deal."""
        return next(each for each, waiting in self._queues.items() if waiting) is queue

    def _tell_later(self, queue: asyncio.Queue[Any]) -> None:
        """Wake the calls made after that of `queue`: they may have an engine to deal to now."""
        for each in list(self._queues)[list(self._queues).index(queue) + 1 :]:
            each.put_nowait(None)

    def _count_attempts(self, ended: Ended, attempts: Counter[int]) -> None:
        if isinstance(ended.cause, RunFailed):
            raise ended.cause
        for request in ended.unfinished:
            attempts[request.sample_id] += 1
            if attempts[request.sample_id] > self.config.retries:
                raise RunFailed(
                    f"sample {request.sample_id} ({len(request.prompt_ids)} prompt tokens) has "
                    f"outlived {attempts[request.sample_id]} engines (rollout.retries); the last "
                    f"one: {ended.cause}"
                )

    async def _stream(
        self,
        member: Member,
        requests: list[Request],
        deliver: Callable[[Completion | Ended], None],
    ) -> None:
        """Run `requests` on `member`; delivers its completions and then how it ended."""
        incarnation = member.incarnation
        left = {request.sample_id: request for request in requests}
        call = member.actor.generate.options(num_returns="streaming")
        stream = call.remote(requests, self.version)
        cause: Exception | None = None
        try:
            async for reference in stream:
                completions: tuple[Completion, ...] = await reference
                for completion in completions:
                    if request := left.pop(completion.sample_id, None):
                        member.drop(request)
                        deliver(completion)
            if left:
                cause = RuntimeError("its stream ended early")
        except RayTaskError as error:
            cause = error
            if isinstance(error.cause, ACTIONABLE):
                cause = RunFailed(f"{member.name}: {error.cause}")
        except RayError as error:
            cause = error
        except asyncio.CancelledError:
            ray.cancel(stream)
            raise
        finally:
            for request in left.values():
                member.drop(request)
        if cause is not None and not isinstance(cause, RunFailed):
            self.fail(member, incarnation, cause)
        deliver(Ended(tuple(left.values()), cause))

    async def prompt_logprobs(
        self, sequences: list[list[int]], deadline_s: float
    ) -> dict[str, list[list[float]]]:
        """The log-probabilities of these sequences' tokens, of every ready worker by name.

        A worker that cannot answer is replaced and left out; waits for one that can.

        Raises:
            TimeoutError: none could within `deadline_s`.
            RunFailed: none is left.
        """
        found: dict[str, list[list[float]]] = {}

        async def ask(member: Member) -> None:
            incarnation = member.incarnation
            try:
                call = member.actor.prompt_logprobs.remote(sequences)
                found[member.name] = (await answers(member.name, [call], deadline_s))[0]
            except (RunFailed, RayError) as error:
                self.fail(member, incarnation, error)

        async with asyncio.timeout(deadline_s):
            while not found:
                if not self.ready():
                    await self.changed()
                await asyncio.gather(*map(ask, self.ready()))
        return found

    # ------------------------------------------------------------------------- colocation

    async def rest(self) -> None:
        """Where the learner shares its GPUs: every engine gives its memory up until `wake`.

        No completion may be under way. An engine that cannot is replaced, after the rest.
        """
        if not self.colocated:
            return
        if self._revivals and self._engines_turn.is_set():  # loading where the learner will be
            await asyncio.wait(self._revivals, timeout=self.config.start_timeout_s)
        self._engines_turn.clear()
        await self._switch([m for m in self.loaded() if not m.resting], "rest")

    async def wake(self) -> None:
        """End the rest of every engine that rests; one that cannot wake is replaced."""
        self._engines_turn.set()
        await self._switch([m for m in self.loaded() if m.resting], "wake")

    async def _switch(self, members: Sequence[Member], method: str) -> None:
        async def ask(member: Member) -> None:
            incarnation = member.incarnation
            try:
                call = getattr(member.actor, method).remote()
                await answers(f"{member.name}: {method}", [call], self.config.hang_timeout_s)
                member.resting = method == "rest"
            except (RunFailed, TimeoutError, RayError) as error:
                self.fail(member, incarnation, error)

        await asyncio.gather(*map(ask, members))

    # ------------------------------------------------------------------------- faults

    def fail(self, member: Member, incarnation: int, cause: BaseException | str) -> None:
        """Kill `member`'s engine and load another, unless that has begun already."""
        if member.incarnation != incarnation or self._stopped:
            return
        member.incarnation += 1
        member.loaded = False
        member.resting = False
        member.version = 0
        self.restarts += 1
        self.say(f"{member.name} failed and is started again: {_first_line(cause)}")
        ray.kill(member.actor, no_restart=False)
        revival = asyncio.create_task(self._revive(member))
        self._revivals.add(revival)
        revival.add_done_callback(self._revived)

    async def _revive(self, member: Member) -> None:
        failures = 0
        incarnation = member.incarnation
        await self._engines_turn.wait()
        while True:
            try:
                what, deadline_s = f"{member.name}: restart", self.config.start_timeout_s
                await reborn(what, member.actor.pids.remote, deadline_s)
                await answers(what, [member.actor.start.remote(*self._start_arguments)], deadline_s)
                break
            except (RunFailed, TimeoutError, RayError) as error:
                failures += 1
                if failures >= _REVIVALS and not self.loaded():
                    raise RunFailed(f"no rollout engine is left: {error}") from error
                ray.kill(member.actor, no_restart=False)
        member.loaded = True
        if self.bring_up is not None:
            await self.bring_up(member)
        if member.incarnation == incarnation:
            self.say(f"{member.name} is back, with weights {member.version}")
        self._tell()

    def _revived(self, revival: asyncio.Task[None]) -> None:
        """Tell whoever waits for engines why none will come; the learner's death is one reason."""
        self._revivals.discard(revival)
        if not revival.cancelled() and (error := revival.exception()):
            self._broken = error
            self._tell()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """While inside, ask every engine now and then whether it lives."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            for task in (watch, *self._revivals):
                task.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.config.heartbeat_s)
            await self.check()

    async def check(self) -> None:
        """Ask every engine whether it lives; one that does not answer is replaced."""
        await asyncio.gather(*(self._ask(member) for member in self.loaded()))

    async def _ask(self, member: Member) -> None:
        if member.updating:
            return
        incarnation = member.incarnation
        try:
            call = member.actor.heartbeat.remote()
            await answers(f"{member.name}: heartbeat", [call], self.config.hang_timeout_s)
        except (RunFailed, TimeoutError, RayError) as error:
            if not member.updating:  # that has deadlines of its own
                self.fail(member, incarnation, error)

    async def changed(self) -> None:
        """Wait until an engine became ready, or none will any more.

        Raises:
            RunFailed: none will.
        """
        news: asyncio.Queue[Any] = asyncio.Queue()
        self._queues[news] = deque()
        try:
            if not self._broken:
                await news.get()
            if self._broken:
                raise self._broken
        finally:
            del self._queues[news]

    def learner_is_back(self) -> None:
        """Forget that an engine could not be brought up because the learner had died."""
        if isinstance(self._broken, ActorLost):
            self._broken = None

    def _tell(self) -> None:
        """Wake everyone who waits for the fleet."""
        for queue in self._queues:
            queue.put_nowait(None)

    def stop(self) -> None:
        """Shut the engines down; waits at most 20 s."""
        self._stopped = True
        calls = [member.actor.stop.remote() for member in self.loaded()]
        if calls:
            ray.wait(calls, num_returns=len(calls), timeout=20)


def _first_line(cause: BaseException | str) -> str:
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
