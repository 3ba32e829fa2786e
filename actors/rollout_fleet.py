"""RolloutFleet: the driver's side of all rollout workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import ray
from ray.exceptions import RayActorError, RayTaskError

from actors.calls import answers
from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout import Completion, Request, RolloutWorker, engine_env


class RolloutFleet:
    """Launches the workers, spreads requests over them and merges their streams."""

    def __init__(self, config: RolloutConfig, gpu: bool) -> None:
        self.config = config
        self.gpu = gpu
        actor = ray.remote(RolloutWorker)
        self.workers = [
            actor.options(
                name=f"rollout-{i}",
                num_cpus=config.threads,
                num_gpus=config.tensor_parallel if gpu else 0,
                max_restarts=0,
                max_concurrency=4096,
                runtime_env={"env_vars": engine_env(config, gpu)},
            ).remote(config, f"rollout-{i}")
            for i in range(config.workers)
        ]

    async def start(self, model_dir: Path, weights_backend: str) -> list[dict[str, str]]:
        """Load every engine; returns the versions each runs."""
        calls = [w.start.remote(str(model_dir), weights_backend, self.gpu) for w in self.workers]
        return await answers("rollout: start", calls, self.config.start_timeout_s)

    async def generate(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        """Yield every completion as it ends, from whichever worker.

        Requests with the same prompt go to the same worker, which then holds its prefix once.

        Raises:
            RunFailed: a worker died; the message names it.
        """
        finished: asyncio.Queue[Completion | Exception | None] = asyncio.Queue()
        streams = [
            asyncio.create_task(self._stream(index, share, finished.put_nowait))
            for index, share in enumerate(self._shares(requests))
        ]
        try:
            running = len(streams)
            while running:
                item = await finished.get()
                if isinstance(item, Exception):
                    raise item
                if item is None:
                    running -= 1
                else:
                    yield item
        finally:
            for stream in streams:
                stream.cancel()

    def _shares(self, requests: Sequence[Request]) -> list[list[Request]]:
        """Deal prompts to workers by expected tokens, the longest first."""
        by_prompt: dict[tuple[int, ...], list[Request]] = {}
        for request in requests:
            by_prompt.setdefault(request.prompt_ids, []).append(request)
        shares: list[list[Request]] = [[] for _ in self.workers]
        load = [0] * len(self.workers)
        for group in sorted(by_prompt.values(), key=lambda g: -len(g) * g[0].max_tokens):
            lightest = min(range(len(load)), key=load.__getitem__)
            shares[lightest].extend(group)
            load[lightest] += sum(len(r.prompt_ids) + r.max_tokens for r in group)
        return shares

    async def _stream(
        self,
        index: int,
        requests: list[Request],
        deliver: Callable[[Completion | Exception | None], None],
    ) -> None:
        try:
            if requests:
                stream = self.workers[index].generate.options(num_returns="streaming")
                async for reference in stream.remote(requests):
                    deliver(await reference)
            deliver(None)
        except (RayActorError, RayTaskError) as error:
            deliver(RunFailed(f"rollout-{index} failed while generating: {error}"))

    async def prompt_logprobs(
        self, sequences: list[list[int]], deadline_s: float
    ) -> list[list[list[float]]]:
        """Every worker's log-probabilities of these sequences' tokens, worker by worker."""
        calls = [w.prompt_logprobs.remote(sequences) for w in self.workers]
        return await answers("rollout: prompt_logprobs", calls, deadline_s)

    def stop(self) -> None:
        """Shut the engines down; waits at most 20 s."""
        ray.wait([w.stop.remote() for w in self.workers], num_returns=len(self.workers), timeout=20)
