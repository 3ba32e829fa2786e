"""Following a job: Ctrl-C counts even where the client would swallow a cancellation."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.cluster import job as local_job
from deploy.cluster.job import _interrupted_before_end, _print_logs, stop_running_jobs


async def deaf_for_once() -> None:
    """Swallow the first cancellation, as a client in the middle of a message can."""
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(0)


def test_an_interrupt_is_not_lost_when_a_cancellation_is() -> None:
    assert asyncio.run(_interrupted_before_end(deaf_for_once()))


def test_work_that_ends_by_itself_was_not_interrupted() -> None:
    assert not asyncio.run(_interrupted_before_end(asyncio.sleep(0)))


class Torn:
    """A client whose connection breaks once in the middle, and tells all from the start again."""

    whole = "step 1\nstep 2\nstep 3\n"

    def __init__(self) -> None:
        self.asked = 0

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        self.asked += 1
        yield self.whole[:7]
        if self.asked == 1:
            yield self.whole[7:10]
            raise RuntimeError("WebSocket connection closed unexpectedly")
        yield self.whole[7:]

    def get_job_status(self, job: str) -> Any:
        return SimpleNamespace(is_terminal=lambda: False)


def test_output_goes_on_where_the_connection_broke(capsys: pytest.CaptureFixture[str]) -> None:
    client = Torn()
    asyncio.run(_print_logs(client, "job"))
    printed = capsys.readouterr()
    assert printed.out == Torn.whole
    assert client.asked == 2
    assert "lost the connection to the job's output" in printed.err


def test_only_submitted_jobs_are_stopped_and_one_that_will_not_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [
        {"type": "DRIVER", "submission_id": None, "status": "RUNNING"},
        {"type": "SUBMISSION", "submission_id": "done", "status": "SUCCEEDED"},
        {"type": "SUBMISSION", "submission_id": "deaf", "status": "RUNNING"},
        {"type": "SUBMISSION", "submission_id": "good", "status": "RUNNING"},
    ]
    stopped: list[str] = []

    def stop(job: str) -> None:
        if job == "deaf":
            raise RuntimeError("500 Internal Server Error")
        stopped.append(job)

    ended = SimpleNamespace(is_terminal=lambda: True, value="STOPPED")
    client = SimpleNamespace(stop_job=stop, get_job_status=lambda job: ended)
    monkeypatch.setattr(local_job, "_client", lambda cluster: client)
    stop_running_jobs(SimpleNamespace(get=lambda path: jobs))  # type: ignore[arg-type]
    assert stopped == ["good"]
    assert "job deaf ends with the cluster: 500" in capsys.readouterr().err
