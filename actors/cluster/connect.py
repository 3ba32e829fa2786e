"""Connecting to Ray, and checking that the cluster has what a run needs before anything starts."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import ray
from ray.exceptions import AuthenticationError

from actors.cluster.placement import SANDBOX_RESOURCE, check_placement, required_cpus
from actors.config import PlacementConfig, RolloutConfig, SandboxPoolConfig
from actors.errors import RunFailed

logger = logging.getLogger(__name__)

_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Where `ray job submit` tells a driver its submission."""
_PORT_S = 5.0
"""Longest wait for the cluster's port to answer [seconds]."""


@dataclass(frozen=True)
class Cluster:
    """The cluster a run is connected to."""

    gpu: bool
    """Whether models run on GPUs."""
    resources: Mapping[str, float]
    """What Ray says the cluster has."""
    placement: PlacementConfig
    """The configured one, with `colocate` decided."""


def connect(placement: PlacementConfig, rollout: RolloutConfig, pool: SandboxPoolConfig) -> Cluster:
    """Join the Ray cluster this process was submitted to, or start one of its own.

    A job of `ray job submit` finds its cluster in the environment, as does a process given
    RAY_ADDRESS; any other starts a private cluster that ends with it.

    Raises:
        RunFailed: RAY_ADDRESS names no cluster that answers, Ray does not start, a cluster of its
            own lacks what the configuration requires, or memory is short. What another cluster
            lacks is a warning: its nodes may still be starting, and `reserve` waits for them.
    """
    check_memory(placement.min_free_memory_gib)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _sigterm_handler_kept():
        if address := os.environ.get("RAY_ADDRESS", ""):
            _join(address, **quiet)
        else:
            start_private_cluster(
                num_cpus=max(os.cpu_count() or 1, required_cpus(placement, rollout)),
                resources={SANDBOX_RESOURCE: float(pool.workers)},
                object_store_memory=300 << 20,
                **quiet,
            )
    resources = ray.cluster_resources()
    gpu = placement.accelerator == "gpu" or (
        placement.accelerator == "auto" and resources.get("GPU", 0) > 0
    )
    if placement.colocate is None:
        shares = gpu and resources.get("GPU", 0) == 1 and placement.learner_ranks == 1
        placement = placement.model_copy(update={"colocate": shares})
    try:
        check_placement(resources, placement, rollout, pool, gpu)
    except RunFailed as shortage:
        if not address:
            raise
        logger.warning(
            "%s\nwaiting up to %g s for nodes that join (placement.timeout_s)",
            shortage,
            placement.timeout_s,
        )
    return Cluster(gpu=gpu, resources=resources, placement=placement)


def job_text() -> str:
    """What Ray's list of jobs calls this process, which is connected to a cluster."""
    job = ray.get_runtime_context().get_job_id()
    try:
        metadata = json.loads(os.environ.get(_JOB_CONFIG, "{}"))["metadata"]
        return f"Ray job {job}, submitted as {metadata['job_submission_id']}"
    except (ValueError, LookupError, TypeError):
        return f"Ray job {job}"


def _join(address: str, **settings: Any) -> None:
    listens = False
    try:
        listens = _check_port(address)
        ray.init(**settings)
    except Exception as error:  # Ray raises a bare Exception where a node does not answer in time
        # Without a token Ray says so. One that is not the cluster's is in the log of its C++ code
        # alone: its Python code tries for 20 seconds, and then could not connect.
        refused = listens and isinstance(error, ConnectionError)
        if refused or isinstance(error, AuthenticationError):
            raise RunFailed(
                f"the Ray cluster at RAY_ADDRESS={address} does not take this process's token, or "
                f"what listens there is no Ray head ({_first_line(error)}): copy "
                f"~/.ray/auth_token of its head to this node (`ray get-auth-token` prints it "
                f"there) or set RAY_AUTH_TOKEN, with RAY_AUTH_MODE=token. On a cluster without "
                f"tokens set RAY_AUTH_MODE=disabled"
            ) from error
        raise RunFailed(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({error}); start one with "
            f"`make local-cluster`, or unset RAY_ADDRESS to run without one"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


@contextmanager
def _sigterm_handler_kept() -> Iterator[None]:
    """Keep the handler for SIGTERM, which `ray.init` replaces.

    Ray's handler ends the process at once, without the `finally` that stops the sandboxes.
    """
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def start_private_cluster(**settings: Any) -> None:
    """Start Ray on this machine for this process alone.

    Raises:
        RunFailed: Ray did not start, mostly because the machine is too busy.
    """
    # `address="local"`: without it Ray joins whatever other cluster runs on this machine.
    try:
        ray.init(address="local", include_dashboard=False, **settings)
    except Exception as error:  # Ray raises a bare Exception where a node is not up in time
        ray.shutdown()
        raise RunFailed(
            f"Ray did not start on this machine: {str(error).strip()} Try again when the machine "
            f"is less busy, or start a cluster first with `make local-cluster`"
        ) from error


def _check_port(address: str) -> bool:
    """Raise `OSError` where nothing listens at `address`; Ray itself would try for two minutes.

    Returns:
        Whether something listens there; False where the address has no port.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdigit()):
        return False
    socket.create_connection((host, int(port)), timeout=_PORT_S).close()
    return True


def check_memory(needed_gib: float) -> None:
    """Refuse to start where the kernel would kill the run later for want of memory.

    Raises:
        RunFailed: less memory is free than the configuration requires.
    """
    free = psutil.virtual_memory().available / (1 << 30)
    if free < needed_gib:
        raise RunFailed(
            f"{free:.1f} GiB of memory are free, and this run requires {needed_gib:.1f} GiB "
            f"(placement.min_free_memory_gib): end other programs, or use a smaller model"
        )
