"""Started by a test: an actor takes memory until the memory monitor of its own Ray kills it."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import ray
from ray._common.utils import get_system_memory
from ray._private.utils import get_used_memory
from ray.exceptions import RayError

from actors.cluster.connect import start_private_cluster
from actors.cluster.memory import MemoryWatch
from actors.errors import RunFailed

ROOM = 3 << 30
"""Memory below the threshold when Ray and the actor start [bytes]."""
MOST = 8 << 30
"""What it takes at most: a machine that frees memory meanwhile raises the bar [bytes]."""

TRY_S = 60.0
"""Time for one try [seconds]."""
TRIES = 3


@ray.remote(num_cpus=1, max_restarts=-1)
class Hungry:
    """Takes memory, and keeps it."""

    def __init__(self) -> None:
        self.blocks: list[bytearray] = []

    def held(self) -> int:
        """Blocks so far."""
        return len(self.blocks)

    def eat(self) -> int:
        """One more block of 256 MiB, every page of it written."""
        self.blocks.append(bytearray(b"x") * (256 << 20))
        return len(self.blocks)


async def answered(hungry: Any) -> Any:
    """The actor, as soon as it answers: Ray restarts one that was killed."""
    while True:
        try:
            await hungry.held.remote()
        except RayError:
            await asyncio.sleep(0.1)
        else:
            return hungry


async def lose(watch: MemoryWatch, hungry: Any) -> None:
    """Watch the actor, have it killed, and look why."""
    await watch.watch("rollout-0", await answered(hungry))
    try:
        for _ in range(MOST // (256 << 20)):
            await hungry.eat.remote()
            await asyncio.sleep(0.05)
    except RayError:
        await watch.check("rollout-0")
    else:
        raise SystemExit("the actor was never killed")


async def lose_twice() -> bool:
    """Twice in a row: told, then the end of the run."""
    watch, hungry = MemoryWatch(), Hungry.remote()
    try:
        async with asyncio.timeout(TRY_S):
            await lose(watch, hungry)
            await lose(watch, hungry)
    except RunFailed as error:
        print(error, flush=True)
        return True
    except TimeoutError:
        print("the actor did not answer", file=sys.stderr, flush=True)
    return False


def main() -> None:
    """Tries that others disturb, by memory they take or free meanwhile, are made again."""
    for _ in range(TRIES):
        threshold = (get_used_memory() + ROOM) / get_system_memory()
        start_private_cluster(
            num_cpus=1,
            object_store_memory=80 << 20,
            _system_config={
                "memory_usage_threshold": min(0.97, threshold),
                "memory_monitor_refresh_ms": 100,
            },
        )
        done = asyncio.run(lose_twice())
        ray.shutdown()
        if done:
            return


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("actors.cluster.memory").setLevel(logging.DEBUG)
    main()
