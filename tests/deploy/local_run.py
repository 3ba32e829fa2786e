"""The local cluster of a test session, driven by the command line as a person drives it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.runs.folder import RunFolder
from deploy.cluster.local import STATE, LocalCluster, Ports
from tests.clock import untimed
from tests.deploy.leftovers import Leftovers
from tests.deploy.monitoring.prometheus_server import PrometheusServer

ROOT = Path(__file__).resolve().parents[2]
SMALL = Path(__file__).with_name("small.yaml")
STEPS = 6
"""`loop.steps` of the small profile."""
PORTS = Ports(cluster=16379, dashboard=18265, metrics=18080)
PORT_OPTIONS = ("--port", "16379", "--dashboard-port", "18265", "--metrics-port", "18080")


@dataclass(frozen=True)
class Interrupted:
    """A `local-cluster up` that got Ctrl-C in the warm start."""

    status: int
    output: str
    left_behind: list[str]
    """Processes and unfinished files."""


@dataclass
class Cluster:
    """The local cluster of this session, and what it showed while its first run was under way."""

    runs: Path
    """Folder of its runs; `small` is the undisturbed one."""
    profile: Path
    output: str = ""
    """What `local-cluster up` printed."""
    status: int = -1
    actors: dict[str, str] = field(default_factory=dict)
    """What the dashboard said of each actor, by name."""
    job_states: set[str] = field(default_factory=set)
    """States of its jobs that the dashboard listed."""
    metrics: str = ""
    """The Prometheus page once it held the run's metrics."""
    prometheus: PrometheusServer | None = None
    """Scrapes the cluster since its run began; None where it is not installed."""
    watched_at: float = 0.0
    """When the dashboard last showed the run's metrics [seconds since 1970]."""
    interrupted: Interrupted | None = None
    """The attempt before it."""
    leftovers: Leftovers = field(default_factory=Leftovers)
    """Tells the processes that come from its commands."""

    def up(self, *arguments: str) -> subprocess.Popen[str]:
        """`stepcoder local-cluster up` on the small profile."""
        return stepcoder("local-cluster", "up", "--config", str(self.profile), *PORT_OPTIONS,
                         *arguments, **self.leftovers.environment)  # fmt: skip

    def interrupt(self) -> Interrupted:
        """Start it, and press Ctrl-C while the warm start runs."""
        process = self.up()
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith(("warm start: step", "ready")):
                break
        self.leftovers.note()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=180)
        left = self.leftovers.left()
        left += [str(path) for path in self.runs.rglob("*.partial")]
        left += [
            str(path) for path in (STATE, self.runs / "small" / "result.json") if path.exists()
        ]
        return Interrupted(process.returncode, "".join(lines) + rest, left)

    def down(self) -> list[str]:
        """`stepcoder local-cluster down`; returns the processes and files that it left."""
        self.leftovers.note()
        stepcoder("local-cluster", "down", **self.leftovers.environment).communicate(timeout=120)
        return self.leftovers.left() + ([str(STATE)] if STATE.exists() else [])

    def watch(self, cluster: LocalCluster) -> None:
        """Note what runs, and what dashboard and Prometheus show now."""
        self.leftovers.note()
        if listed := cluster.get("/api/v0/actors?detail=1"):
            rows = listed["data"]["result"]["result"]
            alive = {row["name"]: row["repr_name"] for row in rows if row["state"] == "ALIVE"}
            self.actors |= {name: text for name, text in alive.items() if text}
        self.job_states |= {job["status"] for job in cluster.get("/api/jobs/") or []}
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(cluster.metrics, timeout=5) as page,
        ):
            text = page.read().decode()
            if "ray_stepcoder_reward" in text:
                self.metrics, self.watched_at = text, time.time()

    def scrape(self, cluster: LocalCluster) -> None:
        """Have a Prometheus watch it from now on, if one is installed."""
        discovery = Path(cluster.temp_dir) / "prom_metrics_service_discovery.json"
        if self.prometheus is None and PrometheusServer.installed() and discovery.exists():
            self.prometheus = PrometheusServer(self.runs.parent / "prometheus", discovery)


def stepcoder(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The command line as a process of its own, its output in one pipe."""
    inherited = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    return subprocess.Popen(
        [sys.executable, "-m", "deploy", *arguments],
        cwd=ROOT,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def metric_rows(run: Path) -> list[dict[str, Any]]:
    """The metrics of every step of a run, without those that depend on the clock."""
    return untimed(RunFolder(run).step_rows())
