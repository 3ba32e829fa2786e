"""What a run takes of a cluster beside its models: places, the log hub, a sandbox worker.

As a program, `python -m tests.actors.cluster.small_run LOG` joins the cluster at RAY_ADDRESS, says
what it has, and judges a program for each line that it reads.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from actors.cluster.connect import connect
from actors.cluster.placement import reserve
from actors.config import PlacementConfig, RolloutConfig, SandboxPoolConfig
from actors.runs.logs import collect_logs
from actors.sandboxes.pool import SandboxPool
from curriculum.problem import Test
from sandbox import Job, SandboxConfig

PLACEMENT = PlacementConfig(min_free_memory_gib=0.1, timeout_s=60)
POOL = SandboxPoolConfig(workers=1, slots_per_worker=1)
JOB = Job(
    id="job", source="def f(x):\n    return x * x", fn_name="f", tests=(Test(input=[3], output=9),)
)


@contextmanager
def small_run(log: Path) -> Iterator[tuple[dict[str, str], Callable[[], str]]]:
    """What Ray knows the run's parts by, and a function that judges a program."""
    placement = reserve(PLACEMENT, RolloutConfig(), POOL, gpu=False)
    with asyncio.Runner() as runner, collect_logs(log):
        pool = SandboxPool.create(
            SandboxConfig(backend="process"), POOL, "same-name", placement.sandbox
        )
        runner.run(pool.start(120))
        parts = {
            "namespace": ray.get_runtime_context().namespace,
            "sandbox-0": ray.get_actor("sandbox-0")._actor_id.hex(),
            "log-hub": ray.get_actor("log-hub")._actor_id.hex(),
            "places": placement.group.id.hex(),
        }
        yield parts, lambda: runner.run(pool.run(JOB)).outcome.value
        runner.run(pool.stop())
        placement.release()


def main() -> None:
    """Join the cluster and be a run until the input ends."""
    connect(PLACEMENT, RolloutConfig(), POOL)
    with small_run(Path(sys.argv[1])) as (parts, judge):
        print(json.dumps(parts), flush=True)
        for _ in sys.stdin:
            print(judge(), flush=True)


if __name__ == "__main__":
    main()
