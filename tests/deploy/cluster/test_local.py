"""The local cluster: started, seen in its dashboard, interrupted and stopped without leftovers."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from actors.recording.rollout_file import read_rollouts, recorded_steps
from actors.runs.folder import RunFolder
from deploy.cli import main
from deploy.cluster import job
from deploy.cluster import local as local_module
from deploy.cluster.job import FINISHED, start_mode
from deploy.cluster.local import LocalCluster, Ports, running_cluster, start_cluster
from deploy.commands.cluster.local_cluster import _print_addresses
from deploy.config import load_config
from deploy.errors import ClusterError, ConfigError
from deploy.report.runs import write
from tests.deploy.local_run import SMALL, STEPS, Cluster, metric_rows


def test_a_busy_port_is_named_with_its_option_and_nothing_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.json"
    monkeypatch.setattr(local_module, "STATE", state)
    started: list[object] = []
    monkeypatch.setattr(local_module.subprocess, "Popen", started.append)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ClusterError, match=rf"port {port} is in use.*--dashboard-port"):
            start_cluster(Ports(cluster=26379, dashboard=port, metrics=28080), sandbox_units=1)
    assert not state.exists()
    assert started == []


def test_a_stale_state_file_counts_as_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.json"
    gone = LocalCluster("gone", 1, time.time(), Ports(), "/nowhere")
    state.write_text(json.dumps(asdict(gone)))
    monkeypatch.setattr(local_module, "STATE", state)
    assert running_cluster() is None
    state.write_text("{ half")
    assert running_cluster() is None


def test_a_finished_run_is_skipped_and_another_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(SMALL, ["--runs_dir", "runs"])
    folder = tmp_path / "runs" / config.name
    assert start_mode(config, folder, fresh=False) == ("--overwrite",)
    files = RunFolder(folder)
    files.clear()
    # The job is given the absolute path of the folder that its follower names as it likes, and
    # decides whether engines and learner take turns.
    decided = ["--runs_dir", str(tmp_path / "runs"), "--placement.colocate", "false"]
    files.config.write_text(load_config(SMALL, decided).to_yaml())
    assert start_mode(config, folder, fresh=False) == ("--overwrite",)
    with files.checkpoint(2, keep=1) as partial:
        (partial / "weights").write_text("x")
    assert start_mode(config, folder, fresh=False) == ("--resume",)
    files.result.write_text("{}")
    assert start_mode(config, folder, fresh=False) is FINISHED
    assert start_mode(config, folder, fresh=True) == ("--overwrite",)
    # The store may hold a run that this machine does not know of.
    stored = load_config(SMALL, ["--runs_dir", "file:///store", "--staging_dir", "runs"])
    assert start_mode(stored, tmp_path / "absent", fresh=False) == ()
    assert start_mode(stored, tmp_path / "absent", fresh=True) == ("--overwrite",)
    other = load_config(SMALL, ["--runs_dir", "runs", "--loop.steps", "9"])
    with pytest.raises(ConfigError, match=r"another configuration \(differs at loop\.steps\)"):
        start_mode(other, folder, fresh=False)


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_ctrl_c_in_the_warm_start_leaves_no_process_and_no_file(local_cluster: Cluster) -> None:
    interrupted = local_cluster.interrupted
    assert interrupted is not None
    assert interrupted.status == 130, interrupted.output
    assert "interrupted" in interrupted.output
    assert "Traceback" not in interrupted.output
    assert interrupted.left_behind == []


def test_the_addresses_hold_the_line_that_submits_a_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _print_addresses(LocalCluster("c", 1, 0.0, Ports(dashboard=18265), "/tmp/c"))
    (line,) = [row for row in capsys.readouterr().out.splitlines() if "submit" in row]
    words = line.split()
    assert words[1] == "RAY_AUTH_MODE=token"
    ray, stepcoder = (Path(word) for word in words if word.startswith("/"))
    assert (ray.name, stepcoder.name) == ("ray", "stepcoder")
    assert ray.is_file()
    assert stepcoder.is_file()
    assert "job submit --address http://127.0.0.1:18265 -- " in line


@pytest.mark.parametrize("succeeded", [True, False])
def test_the_last_line_is_the_path_of_the_report(
    succeeded: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = LocalCluster("c", 1, 0.0, Ports(), "/tmp/c")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setattr(local_module, "running_cluster", lambda: cluster)
    monkeypatch.setattr(job, "submit", lambda *_: "job")
    monkeypatch.setattr(job, "follow", lambda *_: succeeded)
    monkeypatch.setattr(write, "write_report", lambda runs, folder: folder / "report.html")
    options = ["--config", str(SMALL), "--runs_dir", str(tmp_path)]
    assert main(["local-cluster", "up", *options]) == (0 if succeeded else 1)
    [*_, before, last] = capsys.readouterr().out.splitlines()
    stop = "  stop it      make local-cluster-down"
    report = f"report: {tmp_path / 'small' / 'report' / 'report.html'}"
    assert [before, last][not succeeded :] == ([stop, report] if succeeded else [stop])


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_run_on_the_local_cluster_shows_in_dashboard_and_prometheus(
    local_cluster: Cluster,
) -> None:
    assert local_cluster.status == 0, local_cluster.output
    assert local_cluster.actors["learner-0"] == "learner rank 0 of 1"
    assert local_cluster.actors["rollout-0"].startswith("rollout-0: vLLM engine")
    assert local_cluster.actors["sandbox-0"] == "sandbox worker 0 of run small, 2 slots"
    assert "RUNNING" in local_cluster.job_states
    assert "ray_stepcoder_reward" in local_cluster.metrics
    assert "overall" in local_cluster.output
    assert "make local-cluster-down" in local_cluster.output
    report = local_cluster.runs / "small" / "report" / "report.html"
    assert f"report: {report}" in local_cluster.output
    assert report.is_file()
    running = running_cluster()
    assert running is not None
    provisioned = Path(running.temp_dir) / "session_latest/metrics/grafana/provisioning"
    (provider,) = yaml.safe_load((provisioned / "dashboards/default.yml").read_text())["providers"]
    dashboards = {path.name for path in Path(provider["options"]["path"]).iterdir()}
    assert dashboards > {"stepcoder.json"}, "ours beside Ray's"


@pytest.mark.integration
def test_a_finished_run_folder_holds_its_figures_and_accounts_for_every_sample(
    undisturbed: Path,
) -> None:
    result = json.loads((undisturbed / "result.json").read_text())
    assert result["steps"] == STEPS
    assert result["weights"]["parity_checks"] >= 2
    assert result["weights"]["broadcasts"] == STEPS + result["weights"]["first_broadcasts"]
    samples = {fate: result["samples"][fate] for fate in ("asked", "trained", "dropped")}
    assert samples == {"asked": 16 * STEPS, "trained": 16 * STEPS, "dropped": 0}
    assert set(result["versions"]) >= {"vllm", "ray", "deepspeed", "torch"}
    for when in ("before", "after"):
        rates = result["eval"][when]["pass_at_1"]
        assert set(rates) == {"overall", "introductory", "interview", "competition"}
    assert (
        RunFolder(undisturbed).evaluated(0)
        == RunFolder(undisturbed).evaluated(STEPS)
        == {"heldout"}
    )
    rows = metric_rows(undisturbed)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    for row in rows:
        assert row["learner/rollout_trainer_logprob_diff"] < 1e-4
        assert row["learner/ratio_max_deviation_first_minibatch"] == 0
    recorded = recorded_steps(undisturbed / "rollouts")
    assert len(recorded) == STEPS
    for group in read_rollouts(recorded[0]):
        assert group["question"] in group["prompt"]
        assert group["prompt"].endswith(group["prefix"])
        assert all(0 < sample["generation_seconds"] < 900 for sample in group["samples"])
    assert list((undisturbed / "tensorboard").iterdir())


@pytest.mark.integration
def test_a_finished_run_of_the_same_configuration_is_not_run_again(local_cluster: Cluster) -> None:
    again = local_cluster.up()
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    assert "has finished with this configuration" in output
