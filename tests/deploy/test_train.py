"""A run as a Ray job, killed half-way and resumed: it continues as if it had never stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from actors.runs.folder import RunFolder
from actors.runs.store.objects import LEASE, RunStore
from tests.deploy.local_run import PORTS, ROOT, STEPS, Cluster, metric_rows

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def submit(cluster: Cluster, name: str, *arguments: str) -> subprocess.Popen[str]:
    """`ray job submit` of `stepcoder train`, following its output."""
    ray = Path(sys.executable).with_name("ray")
    environment = json.dumps({"env_vars": {"PYTHONPATH": str(ROOT)}})
    return subprocess.Popen(
        [str(ray), "job", "submit", "--address", f"http://127.0.0.1:{PORTS.dashboard}",
         "--runtime-env-json", environment, "--",
         sys.executable, "-m", "deploy", "train", "--config", str(cluster.profile),
         "--name", name, *arguments],
        env={**os.environ, "RAY_AUTH_MODE": "token"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def steps_of(run: Path) -> int:
    """Steps that the run has finished."""
    return len(RunFolder(run).step_rows())


def driver_of(name: str) -> psutil.Process:
    """The driver process of the run `name`."""
    drivers = [
        process
        for process in psutil.process_iter(["cmdline"])
        if {"deploy", "train", name} <= set(process.info["cmdline"] or ())
        and "submit" not in process.info["cmdline"]
    ]
    return drivers[-1]  # the shell that Ray starts it with has a lower pid


def test_a_run_killed_after_its_checkpoint_resumes_to_the_same_figures(
    local_cluster: Cluster, undisturbed: Path
) -> None:
    """Both halves evaluate on the way, and the resumed half has engine and learner take turns, and
    only an object store to go on from: none of it changes a figure of the training or a weight of
    the undisturbed run, which evaluates first and last."""
    folder = local_cluster.runs / "cut"
    url = f"file://{local_cluster.runs.with_name('bucket')}"
    store = RunStore(f"{url}/cut")
    options = ("--sandbox.backend", "process", "--loop.eval_every", "1",
               "--runs_dir", url, "--staging_dir", str(folder.parent))  # fmt: skip
    process = submit(local_cluster, "cut", *options)
    # The metrics file is ahead of the job's output. A step takes a third of a second: the driver
    # must be known before.
    driver = None
    # The checkpoint of step 2 may still be written and uploaded while step 3 runs.
    while steps_of(folder) < 3 or store.sealed()[-1:] < ["step-000002"]:
        assert process.poll() is None, process.communicate()[0]
        if driver is None and folder.exists():
            driver = driver_of("cut")
        time.sleep(0.02)
    assert driver is not None
    driver.send_signal(signal.SIGKILL)
    process.communicate(timeout=120)
    assert steps_of(folder) < STEPS
    assert store.read(LEASE) is not None
    shutil.rmtree(folder)

    resumed = submit(
        local_cluster, "cut", *options, "--resume", "--placement.colocate", "true",
    )  # fmt: skip
    output, _ = resumed.communicate(timeout=400)
    assert resumed.returncode == 0, output
    assert re.search(r"resumed from step-00000[24]\b", output), output

    evaluated = [bool(RunFolder(run).evaluated(step)) for run in (folder, undisturbed)
                 for step in range(STEPS + 1)]  # fmt: skip
    assert evaluated == [True] * (STEPS + 1) + [True, *[False] * (STEPS - 1), True]
    straight, cut = metric_rows(undisturbed), metric_rows(folder)
    assert [row["step"] for row in cut] == list(range(1, STEPS + 1))
    for row, expected in zip(cut, straight, strict=True):
        # The resumed run pushes its weights once more before it goes on.
        for either in (row, expected):
            del either["weights/version"]
        assert row.pop("store/step") <= row["step"]
        assert row.pop("store/failures") == 0
        assert row == expected
    result, reference = (
        json.loads((run / "result.json").read_text()) for run in (folder, undisturbed)
    )
    assert result["eval"]["after"]["pass_at_1"] == reference["eval"]["after"]["pass_at_1"]
    assert result["weights"]["broadcasts"] == STEPS + result["weights"]["first_broadcasts"]
    assert result["isolation"] == "process"
    policy, expected_policy = (
        (run / "policy" / "model.safetensors").read_bytes() for run in (folder, undisturbed)
    )
    assert policy == expected_policy
    older, newest = sorted((folder / "checkpoints").glob("step-*"))
    assert (newest / "policy" / "model.safetensors").read_bytes() == policy
    assert [path.name for path in older.iterdir()] == ["policy"]
    assert store.sealed() == [newest.name]
    assert store.read("result.json") == (folder / "result.json").read_bytes()
    assert store.read("policy/model.safetensors") == policy
    assert store.read(LEASE) is None
