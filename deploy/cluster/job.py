"""The run as a job of the local cluster: submitted, followed, stopped on Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from actors.runs.folder import RunFolder
from deploy.cluster.local import JOB_STOP_S, ClusterError, LocalCluster, cluster_env
from deploy.config import ConfigError, RunConfig, differing_keys, load_config

SUBMIT_S = 60.0
"""Longest wait for the cluster to take a job: its agent is up a few seconds after its dashboard."""

Finished = ["finished"]
"""What `decide` returns when there is nothing left to do."""


def decide(config: RunConfig, folder: Path, fresh: bool) -> list[str]:
    """How to start: options of `stepcoder train`, or `Finished`.

    A finished run of the same configuration is not run again, an interrupted one is resumed.

    Raises:
        ConfigError: the folder holds a run of another configuration, which starting would replace.
    """
    files = RunFolder(folder)
    if fresh or not files.config.exists():
        return ["--overwrite"]
    changed = [
        key for key in differing_keys(load_config(files.config), config) if key != "runs_dir"
    ]
    if changed:
        raise ConfigError(
            f"{folder} holds a run of another configuration (differs at {', '.join(changed)}): "
            f"choose another name (make local-cluster NAME=...), or replace it with --fresh "
            f"(ARGS=--fresh)"
        )
    if files.result.exists():
        return Finished
    return ["--resume"] if files.latest() else ["--overwrite"]


def submit(cluster: LocalCluster, command: str, name: str) -> str:
    """Submit a job as `ray job submit` does; returns its id.

    Raises:
        ClusterError: the cluster does not take jobs.
    """
    colour = {"FORCE_COLOR": "1"} if sys.stdout.isatty() else {}
    settings = cluster_env(cluster.id)
    keys = ("RAY_AUTH_MODE", "RAY_USAGE_STATS_ENABLED", "PYTHONPATH", "RAY_JOB_STOP_WAIT_TIME_S")
    client, deadline = _client(cluster), time.monotonic() + SUBMIT_S
    while True:
        try:
            return client.submit_job(
                entrypoint=command,
                submission_id=f"{name}-{int(time.time())}",
                runtime_env={"env_vars": {**{key: settings[key] for key in keys}, **colour}},
            )
        except RuntimeError as error:
            starting = "No available agent" in str(error)
            if not starting or time.monotonic() > deadline:
                raise ClusterError(f"{cluster.dashboard} refused the job: {error}") from error
            time.sleep(0.5)


def follow(cluster: LocalCluster, job: str) -> bool:
    """Print the job's output until it ends; returns whether it succeeded.

    On Ctrl-C the job is stopped first, so that its actors and containers end in order.
    """
    client = _client(cluster)
    if asyncio.run(_interrupted_before_end(_print_logs(client, job))):
        print(f"stopping job {job} ...", file=sys.stderr, flush=True)
        client.stop_job(job)
        _wait_for_end(client, job)
        raise KeyboardInterrupt
    status = _wait_for_end(client, job)
    if status != "SUCCEEDED":
        print(f"job {job}: {status.lower()}: {client.get_job_info(job).message}", file=sys.stderr)
    return status == "SUCCEEDED"


def stop_running_jobs(cluster: LocalCluster) -> None:
    """Stop the cluster's jobs, so that their actors and containers end in order."""
    for job in cluster.get("/api/jobs/") or []:
        if job["type"] == "SUBMISSION" and job["status"] in ("PENDING", "RUNNING"):
            name = job["submission_id"]
            print(f"stopping job {name} ...", flush=True)
            try:
                client = _client(cluster)
                client.stop_job(name)
                _wait_for_end(client, name)
            except (RuntimeError, ConnectionError, ClusterError) as error:
                print(f"job {name} ends with the cluster: {error}", file=sys.stderr, flush=True)


async def _interrupted_before_end(work: Coroutine[Any, Any, None]) -> bool:
    """Run `work`; returns whether Ctrl-C came before its end.

    The signal sets an event of its own: asyncio would cancel `work`, and a client in the middle of
    a message can swallow that, after which Ctrl-C has done nothing.
    """
    interrupt = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupt.set)
    running = asyncio.create_task(work)
    stop = asyncio.create_task(interrupt.wait())
    try:
        await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not interrupt.is_set():
            await running
        return interrupt.is_set()
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        running.cancel()
        stop.cancel()


async def _print_logs(client: Any, job: str) -> None:
    """The job's output as it comes; where the connection breaks, from there on, on another one."""
    printed = 0
    while True:
        seen = 0
        try:
            async for text in client.tail_job_logs(job):
                new = text[max(0, printed - seen) :]
                seen += len(text)
                printed = max(printed, seen)
                lines = new.splitlines(keepends=True)
                kept = [line for line in lines if " job_manager.py:" not in line]
                print("".join(kept), end="", flush=True)
            return
        except (RuntimeError, OSError) as error:
            if client.get_job_status(job).is_terminal():
                return
            print(f"lost the job's output, asking again: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(1)


def _wait_for_end(client: Any, job: str, deadline_s: float = JOB_STOP_S + 15) -> str:
    deadline = time.monotonic() + deadline_s
    while not (status := client.get_job_status(job)).is_terminal():
        if time.monotonic() > deadline:
            raise ClusterError(f"job {job} did not end within {deadline_s:.0f} s")
        time.sleep(0.3)
    return str(status.value)


def _client(cluster: LocalCluster) -> Any:
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.WARNING)
    return JobSubmissionClient(cluster.dashboard)
