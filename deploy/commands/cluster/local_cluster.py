"""`stepcoder local-cluster up|down|status`, behind `make local-cluster`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from deploy.cluster.authentication import use_token_authentication
from deploy.commands.configuration import Configuration, takes_configuration

if TYPE_CHECKING:
    from deploy.cluster.local import LocalCluster

app = App(
    name="local-cluster",
    help_epilogue="""\
Examples:
  stepcoder local-cluster up --config deploy/profiles/local.yaml
  stepcoder local-cluster up --config P --rollout.temperature 1.2
  stepcoder local-cluster down                   `make local-cluster-down`""",
)


@app.command
@takes_configuration()
def up(
    configuration: Configuration,
    *,
    fresh: Annotated[bool, Parameter(help="Run again even if the run has finished.")] = False,
    port: Annotated[int, Parameter(help="Port of the cluster.")] = 6379,
    dashboard_port: Annotated[int, Parameter(help="Port of its dashboard.")] = 8265,
    metrics_port: Annotated[int, Parameter(help="Port of its Prometheus endpoint.")] = 8080,
) -> int:
    """Start the cluster unless it runs, submit the run as a Ray job, follow it to its end.

    A finished run of the same configuration is not run again, an interrupted one is resumed.
    """
    config = configuration.load()
    use_token_authentication()
    from deploy.cluster.job import FINISHED, follow, start_mode, submit
    from deploy.cluster.local import Ports, running_cluster, start_cluster, stop_cluster
    from deploy.report.result_table import print_result, read_result
    from deploy.report.runs.write import default_folder, write_report

    folder = config.local_runs.absolute() / config.name
    mode = start_mode(config, folder, fresh)
    if mode is FINISHED:
        print(
            f"{folder} has finished with this configuration; --fresh (make local-cluster "
            f"ARGS=--fresh) runs it again"
        )
        print_result(read_result(folder), folder)
        print(f"report: {write_report([folder], default_folder([folder]))}")
        return 0
    cluster = running_cluster()
    started_here = cluster is None
    try:
        if cluster is None:
            print("starting a one-node Ray cluster ...", flush=True)
            ports = Ports(port, dashboard_port, metrics_port)
            cluster = start_cluster(ports, config.pool.workers)
        _print_addresses(cluster)
        profile = configuration.profile
        arguments = ["--config", str(profile.absolute())] if profile else []
        arguments += configuration.override_arguments()
        # The job's driver has a working directory of its own.
        here = str(config.local_runs.absolute())
        where = ["--staging_dir" if config.runs_url else "--runs_dir", here]
        arguments += ["--name", config.name, *where, *mode]
        command = shlex.join([sys.executable, "-m", "deploy", "train", *arguments])
        succeeded = follow(cluster, submit(cluster, command, config.name))
    except BaseException:
        if started_here and cluster is not None:
            print("stopping the cluster ...", file=sys.stderr, flush=True)
            stop_cluster(cluster)
        raise
    print(f"\nwhere to look\n  run folder   {folder}")
    _print_addresses(cluster)
    print("  stop it      make local-cluster-down")
    if not succeeded:
        return 1
    print(f"report: {write_report([folder], default_folder([folder]))}")
    return 0


@app.command
def down() -> int:
    """Stop exactly what `up` started."""
    use_token_authentication()
    from deploy.cluster.job import stop_running_jobs
    from deploy.cluster.local import STATE, running_cluster, stop_cluster

    cluster = running_cluster()
    if cluster is None:
        STATE.unlink(missing_ok=True)
        print("no local cluster of this checkout is running")
        return 0
    stop_running_jobs(cluster)
    print(f"stopped {stop_cluster(cluster)} processes of the local cluster")
    return 0


@app.command
def status() -> int:
    """Print what runs and where to look; the exit status is 1 where nothing runs."""
    use_token_authentication()
    from deploy.cluster.local import running_cluster

    cluster = running_cluster()
    if cluster is None:
        print("no local cluster of this checkout is running; start one with make local-cluster")
        return 1
    print(f"local cluster {cluster.id}: {len(cluster.processes())} processes")
    _print_addresses(cluster)
    return 0


def _print_addresses(cluster: LocalCluster) -> None:
    from deploy.cluster.monitoring import monitoring_lines

    token = "its token: .venv/bin/ray get-auth-token"
    print(f"  dashboard    {cluster.dashboard}   ({token})\n  metrics      {cluster.metrics}")
    programs = Path(sys.executable).parent
    print(
        f"  submit       RAY_AUTH_MODE=token {programs}/ray job submit --address "
        f"{cluster.dashboard} -- {programs}/stepcoder train --config PROFILE --runs_dir RUNS   "
        "(absolute paths)"
    )
    for name, command in monitoring_lines(Path(cluster.temp_dir)).items():
        print(f"  {name.removesuffix('-server'):<12} {command}")
