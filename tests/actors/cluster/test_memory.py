"""Actors that were killed for want of memory are told from those that merely died."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from actors.cluster.memory import (
    Home,
    MemoryWatch,
    described,
    find_memory_kill,
    kernel_kills,
)
from actors.errors import RunFailed


class Answer:
    """What a call of an actor returns."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def remote(self, _function: Any) -> Any:
        async def answer() -> Any:
            return self.value

        return answer()


class Actor:
    """Lives in some place."""

    def __init__(self) -> None:
        self.__ray_call__ = Answer(Home("node", 7, 0))


def lose(watch: MemoryWatch, times: int = 1) -> None:
    async def run() -> None:
        for _ in range(times):
            await watch.watch("rollout-0", Actor())
            await watch.check("rollout-0")

    asyncio.run(run())


def test_the_first_kill_is_told_with_the_sizes(caplog: pytest.LogCaptureFixture) -> None:
    lose(MemoryWatch(lambda home: f"by the system (pid {home.pid})"))
    assert "rollout-0 was killed for want of memory, by the system (pid 7)" in caplog.text


def test_the_second_kill_in_a_row_ends_the_run_with_the_remedy() -> None:
    with pytest.raises(RunFailed, match=r"rollout-0 .* twice in a row, .*: lower rollout.kv"):
        lose(MemoryWatch(lambda _home: "by the system"), times=2)


def test_a_death_of_another_cause_is_not_told_and_ends_the_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = iter(["by the system", None, "by the system"])
    lose(MemoryWatch(lambda _home: next(answers)), times=3)
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 2


def test_a_look_that_fails_does_not_keep_an_actor_from_its_restart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def find(_home: Home) -> str:
        raise AttributeError("no such table")

    lose(MemoryWatch(find))
    assert "why rollout-0 was lost could not be found out: AttributeError" in caplog.text


def test_an_actor_that_is_not_watched_is_not_looked_at() -> None:
    def find(_home: Home) -> str:
        raise AssertionError

    asyncio.run(MemoryWatch(find).check("rollout-0"))


def test_a_message_names_the_largest_processes() -> None:
    gib = 1 << 30
    sizes = [(gib // 2, "small"), (3 * gib, "engine"), (2 * gib, "learner")]
    text = described(5 * gib, 24 * gib, sizes)
    assert text.startswith("5.0 of 24.0 GiB are free now; the largest: engine 3.0, learner 2.0")


@pytest.mark.parametrize(
    ("cgroup", "file", "content"),
    [
        ("4:memory:/pod/a\n0::/\n", "memory/pod/a/memory.oom_control", "under_oom 0\noom_kill 3\n"),
        ("0::/user.slice/b\n", "user.slice/b/memory.events", "oom 9\noom_kill 3\n"),
        ("0::/nowhere\n", "", ""),
    ],
)
def test_kernel_kills_are_those_of_the_cgroup_or_else_of_the_machine(
    tmp_path: Path, cgroup: str, file: str, content: str
) -> None:
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(cgroup)
    (proc / "vmstat").write_text("nr_free_pages 1\noom_kill 8\n")
    if file:
        (cgroups / file).parent.mkdir(parents=True)
        (cgroups / file).write_text(content)
    assert kernel_kills(proc, cgroups) == (3 if file else 8)
    assert kernel_kills(tmp_path / "absent", cgroups) == 0


@ray.remote(num_cpus=0)
class Sleeper:
    """An actor on a real cluster."""


@pytest.mark.integration
def test_an_actor_that_is_killed_otherwise_did_not_lack_memory(
    ray_cluster: None, caplog: pytest.LogCaptureFixture
) -> None:
    sleeper: Any = Sleeper.remote()
    watch = MemoryWatch()

    async def run() -> None:
        await watch.watch("sleeper", sleeper)
        home = watch._homes["sleeper"]
        assert home.node == ray.get_runtime_context().get_node_id()
        ray.kill(sleeper)
        assert await asyncio.to_thread(find_memory_kill, home) is None
        # The kernel killed one more than when it began.
        before = Home(home.node, home.pid, home.kernel_kills - 1)
        found = await asyncio.to_thread(find_memory_kill, before)
        assert found is not None
        assert found.startswith("by the system (")
        await watch.check("sleeper")

    asyncio.run(run())
    assert "want of memory" not in caplog.text


@pytest.mark.integration
def test_a_kill_by_rays_own_memory_monitor_is_told_and_the_second_ends_the_run() -> None:
    """A real one, in a Ray of its own whose limit lies a little above what is in use."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.actors.cluster.memory_kill"],
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "RAY_AUTH_MODE": "token"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    first = "rollout-0 was killed for want of memory, by Ray's memory monitor ("
    assert first in told.stderr
    twice = "rollout-0 was killed for want of memory twice in a row, by Ray's"
    assert twice in told.stdout, told.stderr[-4000:]
    assert "lower rollout.kv_cache_mib" in told.stdout
