"""Large jobs and verdicts go in pieces that Ray sends within calls."""

from __future__ import annotations

import asyncio
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, RayTaskError

from actors.config import SandboxPoolConfig
from actors.sandboxes import worker as worker_module
from actors.sandboxes.parcels import in_calls, pack, unpack
from actors.sandboxes.pool import SandboxPool
from actors.sandboxes.worker import Isolation, SandboxWorker
from curriculum.problem import Test
from sandbox import Job, Outcome, SandboxConfig, SandboxError, TestOutcome, TestResult, Verdict

RAYS_LIMIT = 100 << 10
"""Ray's `max_direct_call_object_size`."""
LARGE = "x" * 10_000_000


def job(text: str) -> Job:
    return Job(id="j", source="x = 1", fn_name="f", tests=(Test(input=[text], output=1),))


class Handle:
    """A worker in this process, called as an actor whose node cannot fetch what is large."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
        monkeypatch.setattr(worker_module, "forward_logs", lambda _: None)
        self.output = output
        self.jobs: list[Job] = []
        self.restart()

    def restart(self) -> None:
        self.worker = SandboxWorker(SandboxConfig(backend="process"), 1, "parcels", 0)
        self.worker._run = self._run  # type: ignore[method-assign]

    def _run(self, call: Any) -> Verdict:
        self.jobs.append(call.job)
        results = (TestResult(TestOutcome.failed, output=self.output),)
        return Verdict(call.job.id, Outcome.failed, tests=results)

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(
            remote=lambda *given: asyncio.ensure_future(self._call(method, *given))
        )

    async def _call(self, method: str, *given: Any) -> Any:
        if method == "start":
            return Isolation("process", "", "")
        assert all(len(pickle.dumps(each)) < RAYS_LIMIT for each in given)
        try:
            answer = await getattr(self.worker, method)(*given)
        except SandboxError as error:
            raise RayTaskError(method, "Traceback ...", error) from error
        assert len(pickle.dumps(answer)) < RAYS_LIMIT
        return answer


def run(handle: Handle, given: Job) -> Verdict:
    async def judged() -> Verdict:
        pool = SandboxPool([handle], SandboxPoolConfig(workers=1, retries=1))
        verdict = await pool.run(given)
        assert pool._load == [0]
        return verdict

    return asyncio.run(judged())


@pytest.mark.parametrize("text", ["", LARGE], ids=["small job", "large job"])
@pytest.mark.parametrize("output", ["", LARGE], ids=["small verdict", "large verdict"])
def test_nothing_large_is_sent_at_once_and_nothing_stays(
    monkeypatch: pytest.MonkeyPatch, text: str, output: str
) -> None:
    handle = Handle(monkeypatch, output)
    verdict = run(handle, job(text))
    assert verdict.tests[0].output == output
    assert handle.jobs == [job(text)]
    assert handle.worker._parcels == {}


@pytest.mark.parametrize("method", ["run", "fetch"])
def test_a_worker_that_lost_the_pieces_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    handle = Handle(monkeypatch, LARGE)
    call, restarts = handle._call, 0

    async def restarted_once(name: str, *given: Any) -> Any:
        nonlocal restarts
        if name == method and not restarts:
            restarts += 1
            handle.restart()
        return await call(name, *given)

    monkeypatch.setattr(handle, "_call", restarted_once)
    assert run(handle, job(LARGE)).tests[0].output == LARGE
    assert restarts == 1


def test_a_worker_that_could_not_be_reached_keeps_no_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Handle(monkeypatch, LARGE)
    call, failures = handle._call, 0

    async def unreachable_once(name: str, *given: Any) -> Any:
        nonlocal failures
        if name == "fetch" and not failures:
            failures += 1
            raise ActorUnavailableError("its node does not answer", None)
        return await call(name, *given)

    monkeypatch.setattr(handle, "_call", unreachable_once)
    assert run(handle, job(LARGE)).tests[0].output == LARGE
    assert failures == 1
    assert handle.worker._parcels == {}


def test_a_cancelled_call_leaves_no_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        handle = Handle(monkeypatch, "")
        await handle.hold.remote(("driver", 1), b"x")
        await handle.hold.remote(("collector", 1), b"x")
        await handle.cancel.remote(("driver", 1))
        assert list(handle.worker._parcels) == [("collector", 1)]
        await handle.abandon.remote("collector")
        assert handle.worker._parcels == {}

    asyncio.run(check())


def test_a_call_that_comes_after_its_cancellation_is_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def check() -> None:
        handle, ticket = Handle(monkeypatch, ""), ("driver", 1)
        await handle.cancel.remote(ticket)
        await handle.hold.remote(ticket, b"x")
        assert handle.worker._parcels == {}
        assert await handle.run.remote(1, ticket, None) is None
        assert await handle.run.remote(job(""), ("driver", 2), None) is not None
        assert handle.jobs == [job("")]

    asyncio.run(check())


def test_pieces_make_the_value_again() -> None:
    assert pack("small") == []
    pieces = pack(LARGE)
    calls = in_calls(pieces)
    assert len(calls) == 3
    assert max(sum(map(len, call)) for call in calls) <= 4 << 20
    assert unpack(piece for call in calls for piece in call) == LARGE
