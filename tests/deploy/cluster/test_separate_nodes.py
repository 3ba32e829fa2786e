"""Jobs on a cluster of the documented nodes, with execution nodes in networks of their own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from actors.runs.folder import RunFolder
from deploy.chaos.monkey import STEP_LINE
from tests.deploy.cluster.network_namespaces import namespaces_missing
from tests.deploy.cluster.separate_nodes import SeparateNodes, separate_nodes
from tests.deploy.local_run import SMALL

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
SOAK = bool(os.environ.get("STEPCODER_SOAK"))
LONG = 40
"""Steps of the run that lasts while an execution node starts."""
RUNNER = "from runner import"
"""Part of the command of a process that starts programs."""


@pytest.fixture
def nodes() -> Iterator[SeparateNodes]:
    """A head without work; further nodes are for the test to start."""
    if (reason := namespaces_missing()) is not None:
        pytest.skip(reason)
    # Ray's sockets lie there, whose paths have 107 characters at most.
    with (
        tempfile.TemporaryDirectory(prefix="nodes-") as folder,
        separate_nodes(Path(folder)) as cluster,
    ):
        yield cluster


def follow(
    job: subprocess.Popen[str], on_line: Callable[[str], None], limit_s: float
) -> tuple[int, str]:
    """Read the output of a job to its end, line by line; its status and output."""
    assert job.stdout is not None
    lines: list[str] = []
    deadline = time.monotonic() + limit_s
    try:
        for line in job.stdout:
            lines.append(line)
            on_line(line)
            assert time.monotonic() < deadline, "".join(lines)
    finally:
        if job.poll() is None and time.monotonic() > deadline:
            job.kill()
    return job.wait(timeout=60), "".join(lines)


def test_a_job_from_another_machine_has_programs_run_on_the_execution_node_alone(
    nodes: SeparateNodes, tmp_path: Path
) -> None:
    """Its code comes from a machine that sees the head alone, as the execution node does."""
    checkout = tmp_path / "checkout"
    for package in ("actors", "curriculum", "learner", "sandbox", "tests"):
        shutil.copytree(ROOT / package, checkout / package, ignore=shutil.ignore_patterns("*.pyc"))
    nodes.network.add("laptop", sees=1)
    nodes.start_node(2, cpus=1)
    nodes.start_execution_node("sandbox-a")
    nodes.wait()
    job = nodes.submit(
        sys.executable, "-m", "tests.deploy.cluster.judging_job",
        place="laptop", options=("--working-dir", str(checkout)),
    )  # fmt: skip
    status, output = follow(job, lambda _: None, limit_s=180)
    assert status == 0, output
    (row,) = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert row["places"] == [nodes.network.inode("sandbox-a")]
    assert row["losses"] == 0, "also the large program was judged at once"
    assert "working_dir_files" in row["code"], "the job's code is the laptop's"


@pytest.mark.skipif(not SOAK, reason="takes minutes: `make soak` runs it")
@pytest.mark.timeout(900)
def test_a_run_ends_whole_while_execution_nodes_join_and_leave(
    nodes: SeparateNodes, tmp_path: Path
) -> None:
    nodes.start_node(2, cpus=1)  # for the learner
    nodes.start_node(3, cpus=1)  # for the engine
    nodes.start_execution_node("sandbox-a")
    nodes.wait()
    folder = RunFolder(tmp_path / "small")
    places: dict[str, set[str]] = {}

    def on_line(line: str) -> None:
        note_places(nodes, places)
        if STEP_LINE.match(line) and "sandbox-b" not in nodes.network.names:
            nodes.start_execution_node("sandbox-b")
            nodes.wait()
            nodes.network.cut_off("sandbox-a")

    job = nodes.submit(
        str(Path(sys.executable).with_name("stepcoder")), "train", "--config", str(SMALL),
        "--runs_dir", str(tmp_path), "--pool.workers", "2", "--pool.slots_per_worker", "1",
        "--sandbox.backend", "process", "--loop.steps", str(LONG),
    )  # fmt: skip
    status, output = follow(job, on_line, limit_s=800)
    assert status == 0, output
    result = json.loads(folder.result.read_text())
    assert result["steps"] == LONG
    assert result["samples"]["asked"] == result["samples"]["trained"] == 16 * LONG
    assert len(folder.step_rows()) == LONG
    assert places.pop("runner") == {"sandbox-a", "sandbox-b"}, "programs run there alone"
    assert places.pop("SandboxWorker") == {"sandbox-a", "sandbox-b"}
    assert set(places) == {"RolloutWorker", "LearnerWorker", "CollectorWorker"}
    assert all(where == {"site"} for where in places.values()), places


def note_places(nodes: SeparateNodes, places: dict[str, set[str]]) -> None:
    """Add in which namespace each actor of the cluster and each runner of programs is."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            actor = re.match(r"ray::(\w+Worker)", command)
            kind = actor[1] if actor else "runner" if RUNNER in command else None
            if kind and (where := nodes.network.of(process.pid)):
                places.setdefault(kind, set()).add(where)
