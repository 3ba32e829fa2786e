"""A run as a job of the local cluster: submitted, followed, stopped on Ctrl-C."""

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
from deploy.cluster.local import JOB_STOP_S, LocalCluster, cluster_env
from deploy.cluster.polling import poll
from deploy.config import RunConfig, differing_keys, load_config
from deploy.errors import ClusterError, ConfigError

logger = logging.getLogger(__name__)

SUBMIT_S = 60.0
"""Longest wait for the cluster to take a job [seconds]: its agent starts a few seconds after its
dashboard."""

_TRANSIENT = ("No available agent", "Server disconnected", "Cannot connect to host")
"""What the dashboard answers while the job agent starts, or where a busy machine drops its
connection."""
_STOP_WAIT = "RAY_JOB_STOP_WAIT_TIME_S"

FINISHED = ("finished",)
"""What `start_mode` returns for a run that has finished."""


def start_mode(config: RunConfig, folder: Path, fresh: bool) -> tuple[str, ...]:
    """How `stepcoder train` is to start: its options, or `FINISHED`.

    A finished run of the same configuration is not run again, an interrupted one is resumed.

    Raises:
        ConfigError: the folder holds a run of another configuration, which a start would replace.
    """
    files = RunFolder(folder)
    # An object store may hold a run that this machine has not: it is replaced when asked only.
    replace = ("--overwrite",) if fresh or config.runs_url is None else ()
    if fresh or not files.config.exists():
        return replace
    same = {"runs_dir", "staging_dir"}
    if config.placement.colocate is None:  # the driver decided it
        same.add("placement.colocate")
    changed = [key for key in differing_keys(load_config(files.config), config) if key not in same]
    if changed:
        raise ConfigError(
            f"{folder} holds a run of another configuration (differs at {', '.join(changed)}): "
            f"choose another name with --name (make local-cluster NAME=...), or replace the run "
            f"with --fresh (ARGS=--fresh)"
        )
    if files.result.exists():
        return FINISHED
    return ("--resume",) if files.latest() else replace


def submit(cluster: LocalCluster, command: str, name: str) -> str:
    """Submit a job as `ray job submit` does; returns its id.

    Raises:
        ClusterError: the cluster does not take jobs.
    """
    color = {"FORCE_COLOR": "1"} if sys.stdout.isatty() else {}
    environment = cluster_env(cluster.id)
    forwarded = ("RAY_AUTH_MODE", "RAY_USAGE_STATS_ENABLED", "PYTHONPATH", _STOP_WAIT)
    variables = {**{key: environment[key] for key in forwarded}, **color}
    client = _client(cluster)
    job = f"{name}-{int(time.time())}"
    refusals: list[RuntimeError] = []

    def submitted() -> str | None:
        try:
            return client.submit_job(
                entrypoint=command, submission_id=job, runtime_env={"env_vars": variables}
            )
        except RuntimeError as error:
            if refusals and "already exists" in str(error):
                return job  # taken the last time, though the answer was lost
            refusals.append(error)
            if any(text in str(error) for text in _TRANSIENT):
                return None
            raise ClusterError(f"{cluster.dashboard} refused the job: {error}") from error

    try:
        return str(poll(submitted, SUBMIT_S, interval_s=0.5))
    except TimeoutError:
        raise ClusterError(f"{cluster.dashboard} takes no job: {refusals[-1]}") from None


def follow(cluster: LocalCluster, job: str) -> bool:
    """Print the job's output until it ends; returns whether it succeeded.

    On Ctrl-C the job is stopped first, so that its actors and containers end in order.
    """
    client = _client(cluster)
    if asyncio.run(_interrupted_before_end(_print_logs(client, job))):
        logger.info("stopping job %s ...", job)
        client.stop_job(job)
        _wait_for_end(client, job)
        raise KeyboardInterrupt
    status = _wait_for_end(client, job)
    if status != "SUCCEEDED":
        logger.error("job %s: %s: %s", job, status.lower(), client.get_job_info(job).message)
    return status == "SUCCEEDED"


def stop_running_jobs(cluster: LocalCluster) -> None:
    """Stop the cluster's jobs, so that their actors and containers end in order."""
    for job in cluster.get("/api/jobs/") or []:
        if job["type"] == "SUBMISSION" and job["status"] in ("PENDING", "RUNNING"):
            name = job["submission_id"]
            logger.info("stopping job %s ...", name)
            try:
                client = _client(cluster)
                client.stop_job(name)
                _wait_for_end(client, name)
            except (RuntimeError, ConnectionError, ClusterError) as error:
                logger.warning("job %s ends with the cluster: %s", name, error)


async def _interrupted_before_end(work: Coroutine[Any, Any, None]) -> bool:
    """Run `work`; returns whether Ctrl-C came before its end.

    The signal sets an event instead of cancelling `work`, as asyncio would: a client that is in the
    middle of a message can swallow the cancellation, and Ctrl-C would have no effect.
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
    """Print the job's output as it arrives.

    After a broken connection the client sends the output from its start again: what was printed
    before is skipped.
    """
    printed = 0
    while True:
        seen = 0
        try:
            async for text in client.tail_job_logs(job):
                new = text[max(0, printed - seen) :]
                seen += len(text)
                printed = max(printed, seen)
                lines = new.splitlines(keepends=True)
                own = [line for line in lines if " job_manager.py:" not in line]
                print("".join(own), end="", flush=True)
            return
        except (RuntimeError, OSError) as error:
            if client.get_job_status(job).is_terminal():
                return
            logger.warning("lost the connection to the job's output, connecting again: %s", error)
            await asyncio.sleep(1)


def _wait_for_end(client: Any, job: str, timeout_s: float = JOB_STOP_S + 15) -> str:
    def final_status() -> str | None:
        status = client.get_job_status(job)
        return str(status.value) if status.is_terminal() else None

    try:
        return str(poll(final_status, timeout_s))
    except TimeoutError:
        raise ClusterError(f"job {job} did not end within {timeout_s:.0f} s") from None


def _client(cluster: LocalCluster) -> Any:
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.WARNING)
    return JobSubmissionClient(cluster.dashboard)
