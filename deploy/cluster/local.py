"""A Ray cluster of one machine: started, recorded in a state file, stopped.

Every process of the cluster is in its session, or carries the marker `STEPCODER_CLUSTER=<id>` in
its environment (a job's processes open sessions of their own; Ray's agents overwrite their
environment). `stop_cluster` ends these processes and no others, whatever else Ray runs here.

Ray's ports answer on every interface of the machine, so the cluster keeps Ray's token
authentication on. Clients of this user read the token from its file; a browser asks for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from actors.cluster.placement import SANDBOX_RESOURCE
from actors.cluster.ports import free_port
from curriculum.files import write_atomic
from deploy.cluster.authentication import auth_token, ray_command
from deploy.cluster.monitoring import write_monitoring
from deploy.cluster.polling import poll
from deploy.errors import ClusterError
from deploy.versions import ROOT

STATE = ROOT / "runs" / ".cluster" / "state.json"
"""File that records the running cluster of this checkout."""
MARKER = "STEPCODER_CLUSTER"
"""Environment variable of the cluster's processes."""
HOST = "127.0.0.1"
START_S = 90.0
"""Longest wait for the cluster to answer [seconds]."""
STOP_S = 3.0
"""Longest wait for its processes to end by themselves [seconds]."""
JOB_STOP_S = 60
"""Time that a job has to stop its actors and containers; Ray's own 3 s are too short [seconds]."""


@dataclass(frozen=True)
class Ports:
    """The ports a local cluster listens on."""

    cluster: int = 6379
    dashboard: int = 8265
    metrics: int = 8080


@dataclass(frozen=True)
class LocalCluster:
    """A cluster that `start_cluster` started; the content of its state file."""

    id: str
    """Value of the marker in its processes' environment."""
    session: int
    """Session id of the processes that Ray itself starts."""
    started: float
    """When it was started [seconds since the epoch]; a session id can be used again later."""
    ports: Ports
    """The ports it listens on."""
    temp_dir: str
    """Folder of Ray's session files; removed with the cluster."""

    @property
    def address(self) -> str:
        """Value of RAY_ADDRESS for a driver."""
        return f"{HOST}:{self.ports.cluster}"

    @property
    def dashboard(self) -> str:
        """URL of the dashboard, which also takes jobs."""
        return f"http://{HOST}:{self.ports.dashboard}"

    @property
    def metrics(self) -> str:
        """URL of the Prometheus endpoint."""
        return f"http://{HOST}:{self.ports.metrics}/metrics"

    def processes(self) -> list[psutil.Process]:
        """Every living process of this cluster."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.create_time() < self.started - 1 or process.status() == psutil.STATUS_ZOMBIE:
                return False
            if os.getsid(process.pid) == self.session:
                return True
            return process.environ().get(MARKER) == self.id
        except (psutil.Error, OSError):
            return False

    def get(self, path: str) -> Any:
        """The dashboard's JSON at `path`; None where it does not answer."""
        request = urllib.request.Request(self.dashboard + path)
        request.add_header("Authorization", f"Bearer {auth_token()}")
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return json.load(reply)
        except (OSError, ValueError):
            return None

    def answers(self) -> bool:
        """Whether the dashboard answers."""
        return self.get("/api/version") is not None


def running_cluster() -> LocalCluster | None:
    """The cluster of the state file, if any of its processes is alive."""
    try:
        state = json.loads(STATE.read_text())
        cluster = LocalCluster(**{**state, "ports": Ports(**state["ports"])})
    except (OSError, KeyError, TypeError, json.JSONDecodeError):
        return None
    return cluster if cluster.processes() else None


def start_cluster(ports: Ports, sandbox_units: int) -> LocalCluster:
    """Start a one-node cluster and wait until its dashboard answers.

    Raises:
        ClusterError: a port is taken, or Ray did not come up; nothing is left running.
    """
    options = {"--port": ports.cluster, "--dashboard-port": ports.dashboard}
    for option, port in {**options, "--metrics-port": ports.metrics}.items():
        _require_free(port, option)
    name = f"{os.getpid():x}{int(time.time()) & 0xFFFFFF:06x}"
    temp_dir = f"/tmp/stepcoder-{name}"
    STATE.parent.mkdir(parents=True, exist_ok=True)
    monitoring = write_monitoring(Path(temp_dir))
    log = STATE.with_name("ray.log")
    command = [
        ray_command(), "start", "--head", "--block",
        "--node-ip-address", HOST,
        "--port", str(ports.cluster),
        "--dashboard-host", HOST,
        "--dashboard-port", str(ports.dashboard),
        "--metrics-export-port", str(ports.metrics),
        # No client uses these two; Ray's fixed defaults would collide with another cluster.
        "--dashboard-agent-listen-port", str(free_port()),
        "--ray-client-server-port", str(free_port()),
        "--min-worker-port", "0", "--max-worker-port", "0",
        "--num-cpus", str(max(2, os.cpu_count() or 1)),
        "--resources", json.dumps({SANDBOX_RESOURCE: sandbox_units}),
        "--object-store-memory", str(300 << 20),
        "--temp-dir", temp_dir,
        "--disable-usage-stats",
    ]  # fmt: skip
    started = time.time()
    with log.open("w") as output:
        head = subprocess.Popen(
            command,
            env=cluster_env(name) | monitoring,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    cluster = LocalCluster(name, head.pid, started, ports, temp_dir)
    try:
        write_atomic(STATE, json.dumps(asdict(cluster)))
        _wait_until_up(cluster, head, log)
    except BaseException:
        stop_cluster(cluster)
        raise
    return cluster


def _wait_until_up(cluster: LocalCluster, head: subprocess.Popen[bytes], log: Path) -> None:
    def ended_or_up() -> bool:
        return head.poll() is not None or cluster.answers()

    try:
        poll(ended_or_up, START_S)
        reason = "" if head.poll() is None else f"its process ended with status {head.returncode}"
    except TimeoutError:
        reason = f"no answer within {START_S:.0f} s; give the machine a quieter moment and repeat"
    if reason:
        tail = "\n  ".join(log.read_text().splitlines()[-15:])
        raise ClusterError(f"Ray did not start: {reason} ({log}):\n  {tail}")


def cluster_env(marker: str) -> dict[str, str]:
    """Environment of the cluster and of its clients."""
    return {
        **os.environ,
        MARKER: marker,
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_JOB_STOP_WAIT_TIME_S": str(JOB_STOP_S),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


def stop_cluster(cluster: LocalCluster) -> int:
    """End every process of the cluster and no other; returns their number."""
    processes = cluster.processes()
    for process in processes:
        _signal(process, signal.SIGTERM)
    psutil.wait_procs(processes, timeout=STOP_S)
    # A raylet that is about to end may still restart an agent: kill until nothing is left.
    with contextlib.suppress(TimeoutError):
        poll(lambda: _kill(cluster.processes()), START_S, interval_s=0)
    shutil.rmtree(cluster.temp_dir, ignore_errors=True)
    STATE.unlink(missing_ok=True)
    return len(processes)


def _kill(processes: Sequence[psutil.Process]) -> bool:
    """Kill the processes and wait for their end; returns whether there were none."""
    for process in processes:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(processes, timeout=5)
    return not processes


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


def _require_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ClusterError(
                f"port {port} is in use: end the program that listens there, or choose another "
                f"with {option} (make local-cluster ARGS='{option} {port + 1}')"
            ) from None
