"""Following and stopping jobs: Ctrl-C, broken connections, jobs that do not stop."""

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
from deploy.errors import ClusterError


async def swallow_one_cancellation() -> None:
    """Swallow the first cancellation, as a client in the middle of a message can."""
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(0)


def test_ctrl_c_counts_even_if_the_client_swallows_a_cancellation() -> None:
    assert asyncio.run(_interrupted_before_end(swallow_one_cancellation()))


def test_completed_work_does_not_count_as_interrupted() -> None:
    assert not asyncio.run(_interrupted_before_end(asyncio.sleep(0)))


class BrokenConnectionClient:
    """A client whose connection breaks once, after which it sends the output from the start."""

    output = "step 1\nstep 2\nstep 3\n"

    def __init__(self) -> None:
        self.connections = 0

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        self.connections += 1
        yield self.output[:7]
        if self.connections == 1:
            yield self.output[7:10]
            raise RuntimeError("WebSocket connection closed unexpectedly")
        yield self.output[7:]

    def get_job_status(self, job: str) -> Any:
        return SimpleNamespace(is_terminal=lambda: False)


def test_output_continues_after_a_broken_connection(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    client = BrokenConnectionClient()
    asyncio.run(_print_logs(client, "job"))
    assert capsys.readouterr().out == BrokenConnectionClient.output
    assert client.connections == 2
    assert "lost the connection to the job's output" in caplog.text


def test_only_submitted_jobs_are_stopped_and_a_failure_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [
        {"type": "DRIVER", "submission_id": None, "status": "RUNNING"},
        {"type": "SUBMISSION", "submission_id": "done", "status": "SUCCEEDED"},
        {"type": "SUBMISSION", "submission_id": "unstoppable", "status": "RUNNING"},
        {"type": "SUBMISSION", "submission_id": "good", "status": "RUNNING"},
    ]
    stopped: list[str] = []

    def stop(job: str) -> None:
        if job == "unstoppable":
            raise RuntimeError("500 Internal Server Error")
        stopped.append(job)

    ended = SimpleNamespace(is_terminal=lambda: True, value="STOPPED")
    client = SimpleNamespace(stop_job=stop, get_job_status=lambda job: ended)
    monkeypatch.setattr(local_job, "_client", lambda cluster: client)
    stop_running_jobs(SimpleNamespace(get=lambda path: jobs))  # type: ignore[arg-type]
    assert stopped == ["good"]
    assert "job unstoppable ends with the cluster: 500" in caplog.text


class BusyDashboard:
    """Answers as told, one after the other; remembers the ids that it was given."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.ids = list(answers), []

    def submit_job(self, submission_id: str, **_: Any) -> str:
        self.ids.append(submission_id)
        if self.answers:
            raise RuntimeError(self.answers.pop(0))
        return submission_id


@pytest.mark.parametrize(
    "answers",
    [
        ["No available agent to submit job, please try again later."],
        ["Request failed with status code 500: Server disconnected."] * 2,
        ["500: Server disconnected.", "Job with submission_id x already exists."],
    ],
)
def test_a_busy_dashboard_is_asked_again_for_the_same_job(
    answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it took the job and only the answer was lost."""
    dashboard = BusyDashboard(*answers)
    monkeypatch.setattr(local_job, "_client", lambda _: dashboard)
    cluster: Any = SimpleNamespace(id="marker", dashboard="http://127.0.0.1:8265")
    name = local_job.submit(cluster, "true", "smoke")
    assert {name} == set(dashboard.ids)


@pytest.mark.parametrize("answer", ["Job with submission_id x already exists.", "no such image"])
def test_a_refused_job_is_told_at_once(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_job, "_client", lambda _: BusyDashboard(answer))
    cluster: Any = SimpleNamespace(id="marker", dashboard="http://127.0.0.1:8265")
    with pytest.raises(ClusterError, match="refused the job"):
        local_job.submit(cluster, "true", "smoke")
