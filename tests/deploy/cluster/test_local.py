"""The front door: a cluster of one, the run as a Ray job, everything gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
import yaml

from actors.runs.folder import RunFolder
from deploy.cluster import local as local_cluster
from deploy.cluster.job import FINISHED, start_mode
from deploy.cluster.local import STATE, LocalCluster, Ports, running_cluster, start_cluster
from deploy.config import load_config
from deploy.errors import ClusterError, ConfigError

ROOT = Path(__file__).resolve().parents[3]
PORTS = Ports(cluster=16379, dashboard=18265, metrics=18080)
OPTIONS = ["--port", "16379", "--dashboard-port", "18265", "--metrics-port", "18080"]

SMALL = Path(__file__).parents[1] / "small.yaml"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(f"{SMALL.read_text()}runs_dir: {tmp_path / 'runs'}\n")
    return path


@pytest.fixture
def no_cluster() -> Iterator[None]:
    if running_cluster():
        pytest.skip("a local cluster of this checkout is running: make local-cluster-down")
    yield
    subprocess.run([sys.executable, "-m", "deploy", "local-cluster", "down"], cwd=ROOT, check=True)


def up(profile: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy", "local-cluster", "up", "--config", str(profile), *OPTIONS],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ray_processes() -> dict[int, psutil.Process]:
    """Every live process of any Ray here by pid, whatever it did to its name or environment."""
    return {
        process.pid: process
        for process in psutil.process_iter(["name", "cmdline", "status"])
        # One that has ended and waits for a slow init to collect it is nobody's process any more.
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and (
            process.info["name"].startswith(("ray", "gcs_server", "VLLM"))
            or (
                any("/ray/" in word or word == "deploy" for word in process.info["cmdline"] or ())
                and process.pid not in {os.getpid(), os.getppid()}
            )
        )
    }


def left_since(before: dict[int, psutil.Process], within_s: float = 10.0) -> list[str]:
    """Who came and stays, but for the children of another Ray that ran before (it starts idle
    workers when it likes). What has had its SIGKILL may take a moment to be gone.
    """
    deadline = time.monotonic() + within_s
    while True:
        stay = []
        for pid, process in ray_processes().items():
            with contextlib.suppress(psutil.NoSuchProcess):
                if before.keys().isdisjoint({pid, *(parent.pid for parent in process.parents())}):
                    stay.append(f"{process} of {process.ppid()}")
        if not stay or time.monotonic() > deadline:
            return stay
        time.sleep(0.2)


def test_a_busy_port_is_named_with_its_option_and_nothing_starts(no_cluster: None) -> None:
    before = ray_processes()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", PORTS.dashboard))
        taken.listen()
        with pytest.raises(ClusterError, match=r"port 18265 is in use.*--dashboard-port"):
            start_cluster(PORTS, sandbox_units=1)
    assert not STATE.exists()
    assert left_since(before) == []


def test_a_stale_state_file_is_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state.json"
    gone = LocalCluster("gone", 1, time.time(), Ports(), "/nowhere")
    state.write_text(json.dumps(asdict(gone)))
    monkeypatch.setattr(local_cluster, "STATE", state)
    assert running_cluster() is None
    state.write_text("{ half")
    assert running_cluster() is None


def test_what_is_done_is_skipped_and_another_run_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(SMALL, ["--runs_dir", "runs"])
    folder = tmp_path / "runs" / config.name
    assert start_mode(config, folder, fresh=False) == ("--overwrite",)
    files = RunFolder(folder)
    files.clear()
    # The job is given the absolute path of the folder that its follower names as it likes.
    files.config.write_text(load_config(SMALL, ["--runs_dir", str(tmp_path / "runs")]).to_yaml())
    assert start_mode(config, folder, fresh=False) == ("--overwrite",)
    with files.checkpoint(2, keep=1) as partial:
        (partial / "weights").write_text("x")
    assert start_mode(config, folder, fresh=False) == ("--resume",)
    files.result.write_text("{}")
    assert start_mode(config, folder, fresh=False) is FINISHED
    assert start_mode(config, folder, fresh=True) == ("--overwrite",)
    other = load_config(SMALL, ["--runs_dir", "runs", "--loop.steps", "9"])
    with pytest.raises(ConfigError, match=r"another configuration \(differs at loop\.steps\)"):
        start_mode(other, folder, fresh=False)


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_the_run_as_a_job_is_seen_in_dashboard_and_prometheus_and_ends_clean(
    no_cluster: None, profile: Path
) -> None:
    before = ray_processes()
    process = up(profile)
    actors: set[str] = set()
    metrics = ""
    jobs = []
    while process.poll() is None:
        time.sleep(1)
        cluster = running_cluster()
        if cluster is None:
            continue
        listed = cluster.get("/api/v0/actors?detail=1")
        if listed:
            rows = listed["data"]["result"]["result"]
            actors |= {row["name"] for row in rows if row["state"] == "ALIVE"}
        jobs = cluster.get("/api/jobs/") or jobs
        try:
            with urllib.request.urlopen(cluster.metrics, timeout=5) as reply:
                page = reply.read().decode()
                metrics = page if "ray_stepcoder_reward" in page else metrics
        except OSError:
            continue
    output = process.stdout.read() if process.stdout else ""
    assert process.returncode == 0, output
    assert {"rollout-0", "sandbox-0", "learner-0"} <= actors
    assert [job["status"] for job in jobs] == ["RUNNING"] or jobs[0]["status"] == "SUCCEEDED"
    assert "ray_stepcoder_reward" in metrics
    assert "overall" in output
    assert "make local-cluster-down" in output

    folder = Path(yaml.safe_load(profile.read_text())["runs_dir"]) / "small"
    result = json.loads((folder / "result.json").read_text())
    assert result["weights"]["parity_checks"] >= 2
    assert (
        result["weights"]["broadcasts"] == result["steps"] + result["weights"]["first_broadcasts"]
    )
    assert {fate: result["samples"][fate] for fate in ("asked", "trained", "dropped")} == {
        "asked": 48,
        "trained": 48,
        "dropped": 0,
    }
    assert set(result["versions"]) >= {"vllm", "ray", "deepspeed", "torch"}
    for when in ("before", "after"):
        rates = result["eval"][when]["pass_at_1"]
        assert set(rates) == {"overall", "introductory", "interview", "competition"}
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    for line in lines:
        assert line["learner/rollout_trainer_logprob_diff"] < 1e-4
        assert line["learner/ratio_max_deviation_first_minibatch"] == 0
    assert (folder / "rollouts.jsonl").exists()
    assert list((folder / "tensorboard").iterdir())

    again = up(profile)
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    assert "has finished with this configuration" in said

    down = [sys.executable, "-m", "deploy", "local-cluster", "down"]
    subprocess.run(down, cwd=ROOT, check=True, timeout=120)
    assert left_since(before) == []
    assert not STATE.exists()


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_ctrl_c_in_the_middle_leaves_nothing_behind(no_cluster: None, profile: Path) -> None:
    before = ray_processes()
    process = up(profile)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith(("warm start: step", "ready")):
            break
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 130, "".join(said) + output
    assert "interrupted" in output
    assert "Traceback" not in output
    assert left_since(before) == []
    assert not STATE.exists()
    runs = Path(yaml.safe_load(profile.read_text())["runs_dir"])
    assert not (runs / "small" / "result.json").exists()
    half_written = [path for path in runs.rglob("*") if path.suffix == ".partial"]
    assert not half_written
