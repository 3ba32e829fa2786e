"""`stepcoder local-cluster up|down|status`, behind `make local-cluster`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.cluster.job import Finished, decide, follow, stop_running_jobs, submit
from deploy.cluster.local import (
    STATE,
    LocalCluster,
    Ports,
    running_cluster,
    start_cluster,
    stop_cluster,
)
from deploy.config import RunConfig
from deploy.report.result_table import print_result, read_result


def up(
    config: RunConfig, profile: Path | None, overrides: Sequence[str], ports: Ports, fresh: bool
) -> int:
    """Start the cluster unless it runs, submit the run unless it has finished, follow it."""
    folder = config.runs_dir.absolute() / config.name
    mode = decide(config, folder, fresh)
    if mode is Finished:
        print(
            f"{folder} has finished with this configuration; --fresh (make local-cluster "
            f"ARGS=--fresh) runs it again"
        )
        print_result(read_result(folder), folder)
        return 0
    cluster = running_cluster()
    ours = cluster is None
    try:
        if cluster is None:
            print("starting a one-node Ray cluster ...", flush=True)
            cluster = start_cluster(ports, config.pool.workers)
        _where(cluster)
        words = [*(["--config", str(profile.absolute())] if profile else []), *overrides]
        words += ["--name", config.name, "--runs_dir", str(config.runs_dir.absolute()), *mode]
        command = shlex.join([sys.executable, "-m", "deploy", "train", *words])
        job = submit(cluster, command, config.name)
        succeeded = follow(cluster, job)
    except BaseException:
        if ours and cluster is not None:
            print("stopping the cluster ...", file=sys.stderr, flush=True)
            stop_cluster(cluster)
        raise
    print(f"\nwhere to look\n  run folder   {folder}")
    _where(cluster)
    print("  stop it      make local-cluster-down")
    return 0 if succeeded else 1


def _where(cluster: LocalCluster) -> None:
    token = "its token: .venv/bin/ray get-auth-token"
    print(f"  dashboard    {cluster.dashboard}   ({token})\n  prometheus   {cluster.metrics}")


def down() -> int:
    """Stop what `up` started."""
    cluster = running_cluster()
    if cluster is None:
        STATE.unlink(missing_ok=True)
        print("no local cluster of this checkout is running")
        return 0
    stop_running_jobs(cluster)
    print(f"stopped {stop_cluster(cluster)} processes of the local cluster")
    return 0


def status() -> int:
    """Say what runs; exit status 1 where nothing does."""
    cluster = running_cluster()
    if cluster is None:
        print("no local cluster of this checkout is running; start one with make local-cluster")
        return 1
    print(f"local cluster {cluster.id}: {len(cluster.processes())} processes")
    _where(cluster)
    return 0
