"""A fleet of real Ray actors without vLLM: its engine generates each completion in a set time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from actors.config import RolloutConfig
from actors.rollout.dispatcher import Dispatcher
from actors.rollout.fleet import RolloutFleet
from actors.rollout.samples import Completion, Request
from actors.rollout.worker import RolloutWorker
from learner.models.source import ModelSource

COMPLETION_S = 0.02
WINDOW = 4
"""Completions that an engine has under way before it is assigned no more."""
DEADLY_PROMPT = (666,)
"""A prompt that kills the process of any engine that reads it."""


class ClockWorker(RolloutWorker):
    """Generates one completion after the other."""

    def __init__(self, config: RolloutConfig, name: str, run: str) -> None:
        super().__init__(config, name, run)
        self._thawed = asyncio.Event()
        self._thawed.set()

    async def start(
        self, model: ModelSource, weights_backend: str, gpu: bool, colocated: bool
    ) -> dict[str, str]:
        return {}

    async def freeze(self) -> None:
        """Answer nothing and generate nothing from now on, until the process is restarted."""
        self._thawed.clear()

    async def heartbeat(self) -> int:
        await self._thawed.wait()
        return 0

    async def generate(
        self, requests: Sequence[Request], version: int, caller: str
    ) -> AsyncIterator[tuple[Completion, ...]]:
        for request in requests:
            await self._thawed.wait()
            await asyncio.sleep(COMPLETION_S)
            if request.prompt_ids == DEADLY_PROMPT:
                os._exit(1)
            yield (Completion(request.sample_id, (1,), (0.0,), "stop", version),)

    async def sleep(self) -> None:
        pass

    async def wake_up(self) -> None:
        pass

    def stop(self) -> None:
        pass


def create_clock_fleet(on_engine_loaded: Any = None, **rollout: Any) -> RolloutFleet:
    """Two engines; start it with `start_clock_fleet`."""
    # A healthy engine's heartbeat must come within it on a busy machine, too.
    settings = {"max_num_seqs": WINDOW // 2, "hang_timeout_s": 3, "retries": 1, **rollout}
    return RolloutFleet.create(
        RolloutConfig(workers=2, **settings),
        gpu=False,
        options=lambda _index: {"namespace": "clock"},
        worker=ClockWorker,
        colocated=True,
        on_engine_loaded=on_engine_loaded,
    )


def groups(first: int, count: int) -> list[list[Request]]:
    """`count` groups of one request each, with ids from `first`."""
    return [[Request(i, (i,), i, 8, 1.0)] for i in range(first, first + count)]


async def sample_ids(fleet: RolloutFleet, requests: Sequence[Sequence[Request]]) -> list[int]:
    """The ids of the completions of a round, in the order in which they end."""
    dispatcher = Dispatcher(fleet.supervisor, fleet.config)
    return [completion.sample_id async for completion in dispatcher.generate(requests)]


async def until(condition: Callable[[], bool], deadline_s: float = 120) -> None:
    """Wait for something that the fleet does by itself."""
    async with asyncio.timeout(deadline_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.05)
