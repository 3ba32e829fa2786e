"""MemoryWatch: tells whether an actor was killed for want of memory, and by whom.

An actor that Ray's memory monitor or the system's killed looks like any other that died: a call of
it is "unavailable". Ray keeps the reason of its own kills, and the kernel counts its own by cgroup.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.exceptions import RayError

from actors.cluster.ray_calls import gather, on_node
from actors.errors import RunFailed

logger = logging.getLogger(__name__)

_CALL_S = 30.0
"""Longest wait for a look at an actor or its node [seconds]."""
_TOLD_S = 5.0
"""Longest wait for Ray's record of how a process ended, which follows its end [seconds]."""
_IN_A_ROW_S = 3600.0
"""Time within which a second kill of an actor ends the run [seconds]."""
_LISTED = 8
"""Processes that a message names."""
_GIB = 1 << 30
REMEDY = (
    "lower rollout.kv_cache_mib, rollout.max_num_seqs, learner.token_budget or "
    "learner.logprob_chunk, set learner.gradient_checkpointing: true, take a smaller model or give "
    "the node more memory; then go on with --resume"
)


@dataclass(frozen=True)
class Home:
    """Where an actor's process lives."""

    node: str
    """Ray's id of its node."""
    pid: int
    kernel_kills: int
    """Processes of its cgroup that the kernel had killed for want of memory when it began."""


class MemoryWatch:
    """Remembers where actors live, and says of a lost one whether it lacked memory.

    Lifecycle: `watch()` an actor whenever it has started, `check()` it whenever it was lost.
    """

    def __init__(self, find_kill: Callable[[Home], str | None] | None = None) -> None:
        self._find_kill = find_kill or find_memory_kill
        self._homes: dict[str, Home] = {}
        self._killed_at: dict[str, float] = {}

    async def watch(self, name: str, actor: Any) -> None:
        """Note where an actor lives now; one that does not answer is not watched."""
        self._homes.pop(name, None)
        try:
            [self._homes[name]] = await gather(name, [actor.__ray_call__.remote(_home)], _CALL_S)
        except (RunFailed, TimeoutError, RayError):
            logger.debug("%s is not watched for kills", name)

    async def check(self, name: str) -> None:
        """Log that a lost actor was killed for want of memory, if it was.

        Raises:
            RunFailed: for the second time in a row; with the remedy.
        """
        home = self._homes.pop(name, None)
        if home is None:
            return
        try:
            kill = await asyncio.to_thread(self._find_kill, home)
        except Exception as error:  # a look that fails must not keep an actor from its restart
            logger.warning("why %s was lost could not be found out: %r", name, error)
            return
        if kill is None:
            self._killed_at.pop(name, None)
            return
        now, before = time.monotonic(), self._killed_at.get(name)
        self._killed_at[name] = now
        if before is not None and now - before < _IN_A_ROW_S:
            raise RunFailed(
                f"{name} was killed for want of memory twice in a row, {kill}: {REMEDY}"
            )
        logger.warning(
            "%s was killed for want of memory, %s; a second time ends the run", name, kill
        )


def find_memory_kill(home: Home) -> str | None:
    """Who killed the process that lived there for want of memory, with the sizes of the largest
    processes on its node, if the node answers; None where nobody did.
    """
    by_ray = _killed_by_ray(home)
    task = ray.remote(_look_at_node).options(num_cpus=0, max_retries=0, **on_node(home.node))
    try:
        kills, sizes = ray.get(task.remote(), timeout=_CALL_S)
    except RayError:
        kills, sizes = home.kernel_kills, "its node does not answer"
    if by_ray:
        return f"by Ray's memory monitor ({sizes})"
    return f"by the system ({sizes})" if kills > home.kernel_kills else None


def _killed_by_ray(home: Home) -> bool:
    """Whether Ray's record says so; waits for the record where it says that the process lives."""
    deadline = time.monotonic() + _TOLD_S
    while (ended := _ended_by_ray(home)) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(ended)


def _ended_by_ray(home: Home) -> bool | None:
    """Whether Ray ended the process for want of memory; None while no end is on record."""
    from ray._private import state

    # Generated modules, whose types no checker knows.
    common, gcs = (import_module(f"ray.core.generated.{name}_pb2") for name in ("common", "gcs"))
    accessor: Any = state.state._connect_and_get_accessor()
    out_of_memory = common.WorkerExitType.Value("NODE_OUT_OF_MEMORY")
    for row in accessor.get_worker_table():
        worker = gcs.WorkerTableData.FromString(row)
        if worker.pid == home.pid and worker.worker_address.node_id.hex() == home.node:
            return None if worker.is_alive else worker.exit_type == out_of_memory
    return None


def _home(_actor: Any) -> Home:
    """Runs in the actor."""
    return Home(ray.get_runtime_context().get_node_id(), os.getpid(), kernel_kills())


def _look_at_node() -> tuple[int, str]:
    """Runs on the node: the kernel's kills so far, and the largest processes."""
    processes = psutil.process_iter(["name", "cmdline", "memory_info"])
    sizes = [
        (process.info["memory_info"].rss, " ".join(process.info["cmdline"] or ())[:40])
        for process in processes
        if process.info["memory_info"]
    ]
    memory = psutil.virtual_memory()
    return kernel_kills(), described(memory.available, memory.total, sizes)


def described(available: int, total: int, sizes: Iterable[tuple[int, str]]) -> str:
    """Free memory and the largest processes, in one line [bytes]."""
    largest = sorted(sizes, reverse=True)[:_LISTED]
    named = ", ".join(f"{name} {size / _GIB:.1f}" for size, name in largest)
    return f"{available / _GIB:.1f} of {total / _GIB:.1f} GiB are free now; the largest: {named}"


def kernel_kills(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Processes that the kernel killed for want of memory, in this process's cgroup if it says."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
        paths = {controllers: path for _, controllers, path in (row.split(":", 2) for row in lines)}
    except (OSError, ValueError):
        paths = {}
    v1, v2 = paths.get("memory"), paths.get("")
    files = [
        *([cgroups / "memory" / v1.strip("/") / "memory.oom_control"] if v1 else []),
        *([cgroups / v2.strip("/") / "memory.events"] if v2 else []),
        proc / "vmstat",
    ]
    for file in files:
        try:
            rows = dict(line.split(maxsplit=1) for line in file.read_text().splitlines())
            return int(rows["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return 0
