"""A Ray job whose programs say in which network namespace they run.

Run as `python -m tests.deploy.cluster.judging_job`. Prints a line of JSON: the namespaces (inode
numbers) of its programs, how often workers were lost, and where the code of the job lies.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import ray

import actors
from actors.config import SandboxPoolConfig
from actors.sandboxes.pool import SandboxPool
from curriculum.problem import Test
from sandbox import Job, Limits, Outcome, SandboxConfig

WORKERS = 2
PROGRAMS = 8
LARGE = 300_000
"""Characters of the argument of one program: more than Ray sends within a call. A node
that reaches the head alone cannot fetch it from the caller's node."""
SOURCE = """
import os

def where(argument):
    return [len(argument), os.readlink("/proc/self/ns/net")]
"""


def _job(name: str, characters: int) -> Job:
    test = Test(input=["x" * characters], output=None)  # wrong, so that the verdict has the output
    limits = Limits(wall_seconds=5.0)
    return Job(id=name, source=SOURCE, fn_name="where", tests=(test,), limits=limits)


class Judge:
    """Has programs judged from a node with processors, as a collector has."""

    async def judge(self) -> dict[str, Any]:
        """The namespaces of small programs and of one with a large argument."""
        config = SandboxPoolConfig(workers=WORKERS, job_timeout_s=60)
        pool = SandboxPool.create(SandboxConfig(backend="process"), config, "judging-job")
        await pool.start(deadline_s=60)
        jobs = [_job(f"{i}", size) for i, size in enumerate([LARGE, *[1] * (PROGRAMS - 1)])]
        verdicts = [verdict async for verdict in pool.stream(jobs)]
        await pool.stop()
        assert all(verdict.outcome is Outcome.failed for verdict in verdicts), verdicts
        places = [str(verdict.tests[0].output).partition("net:[")[2] for verdict in verdicts]
        return {
            "places": sorted({int(place.partition("]")[0]) for place in places}),
            "losses": pool.losses,
            "code": str(Path(actors.__file__).parent),
        }


if __name__ == "__main__":
    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    judge = ray.remote(num_cpus=1)(Judge).remote()
    print(json.dumps(ray.get(judge.judge.remote(), timeout=150)), flush=True)
