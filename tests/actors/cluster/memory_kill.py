"""Started by a test: an actor takes memory until the memory monitor of its own Ray kills it."""

from __future__ import annotations

import asyncio
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


@ray.remote(num_cpus=1, max_restarts=-1)
class Hungry:
    """Takes memory, and keeps it."""

    def __init__(self) -> None:
        self.blocks: list[bytearray] = []

    def eat(self) -> int:
        """One more block of 256 MiB, every page of it written."""
        self.blocks.append(bytearray(b"x") * (256 << 20))
        return len(self.blocks)


async def lose(watch: MemoryWatch, hungry: Any) -> None:
    """Watch the actor, have it killed, and look why."""
    await watch.watch("rollout-0", hungry)
    try:
        for _ in range(MOST // (256 << 20)):
            await hungry.eat.remote()
            await asyncio.sleep(0.05)
    except RayError:
        await watch.check("rollout-0")
    else:
        raise SystemExit("the actor was never killed")


async def main() -> None:
    """Twice in a row: told, then the end of the run."""
    watch, hungry = MemoryWatch(), Hungry.remote()
    await lose(watch, hungry)
    try:
        await lose(watch, hungry)
    except RunFailed as error:
        print(error, flush=True)


if __name__ == "__main__":
    threshold = (get_used_memory() + ROOM) / get_system_memory()
    start_private_cluster(
        num_cpus=1,
        object_store_memory=80 << 20,
        _system_config={
            "memory_usage_threshold": min(0.97, threshold),
            "memory_monitor_refresh_ms": 100,
        },
    )
    asyncio.run(main())
    ray.shutdown()
