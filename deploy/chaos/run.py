"""A pair of runs on simulated nodes: one undisturbed, one whose parts a monkey kills."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from actors.errors import RunFailed
from actors.runs.folder import RunFolder
from curriculum.files import write_atomic
from deploy.chaos.comparison import ChaosRun, Comparison, Expectation, compare
from deploy.chaos.monkey import KINDS, Monkey, Plan
from deploy.cluster.simulated import SimulatedCluster, simulated_cluster
from deploy.config import RunConfig, differing_keys, load_config
from deploy.errors import ConfigError
from deploy.versions import ROOT

POLL_S = 0.2
"""Time between two looks at the driver [seconds]."""
STOP_TIMEOUT_S = 60.0
"""Time that an interrupted driver has to end by itself [seconds]."""
LAST_LINES = 15
"""Lines of the driver's output that the message of a failed run shows."""
SAME_FIGURES = (
    "name", "runs_dir", "staging_dir", "placement.", "pool.", "weights.", "rollout.workers",
    "rollout.engines_per_collector", "loop.checkpoint_every", "loop.keep_checkpoints",
)  # fmt: skip
"""Keys in which a reference run may differ: they do not change a run's figures."""

logger = logging.getLogger(__name__)


def chaos(
    config: RunConfig, plan: Plan, limit_s: float, reference: Path | None = None
) -> Comparison:
    """Run undisturbed, then with the monkey; write `<local_runs>/<name>-chaos/chaos.json`.

    Args:
        config: of both runs.
        plan: of the monkey.
        limit_s: longest duration of either run [seconds].
        reference: folder of a finished undisturbed run to compare with, instead of running one.

    Raises:
        ConfigError: no such kind, or a reference that is not finished or of other figures.
        RunFailed: the undisturbed run failed.
        TimeoutError: a run took longer than `limit_s`.
    """
    unknown = sorted(set(plan.kinds) - set(KINDS))
    if unknown or not plan.kinds:
        raise ConfigError(f"--kinds {', '.join(unknown)}: choose from {', '.join(KINDS)}")
    if reference is None:
        undisturbed = run_once(config, "undisturbed", None, limit_s)
        if undisturbed.result is None:
            raise RunFailed("the undisturbed run wrote no result.json")
    else:
        undisturbed = read_reference(reference, config)
    disturbed = run_once(config, "chaos", plan, limit_s)
    comparison = compare(undisturbed, disturbed, Expectation.of(config))
    record = comparison.as_record() | {"plan": asdict(plan)}
    path = config.local_runs / f"{config.name}-chaos" / "chaos.json"
    write_atomic(path, json.dumps(record, indent=1) + "\n")
    return comparison


def read_reference(folder: Path, config: RunConfig) -> ChaosRun:
    """What an undisturbed run left in its folder.

    Raises:
        ConfigError: it is not finished, or differs from `config` in what makes its figures.
    """
    files = RunFolder(folder)
    if not files.result.exists():
        raise ConfigError(f"--reference {folder}: no finished run there (no result.json)")
    changed = [
        key
        for key in differing_keys(load_config(files.config), config)
        if not key.startswith(SAME_FIGURES)
    ]
    if changed:
        raise ConfigError(f"--reference {folder}: it differs at {', '.join(changed)}")
    result = json.loads(files.result.read_text())
    return ChaosRun(0, result, files.step_rows(), result["seconds"]["total"])


def run_once(config: RunConfig, suffix: str, plan: Plan | None, limit_s: float) -> ChaosRun:
    """Run `<name>-<suffix>` on a simulated cluster of its own.

    A driver that the monkey kills is started again, with `--resume` once there is a checkpoint.

    Raises:
        RunFailed: without a plan, the driver did not end with status 0.
        TimeoutError: the run has not ended after `limit_s` seconds.
    """
    runs_dir = config.local_runs.absolute()
    config = config.model_copy(update={"name": f"{config.name}-{suffix}", "runs_dir": runs_dir})
    files = RunFolder(runs_dir / config.name)
    files.clear()  # what is there at the end is of this run
    log = files.root.with_suffix(".log")
    log.write_bytes(b"")
    profile = files.root.with_suffix(".yaml")
    profile.write_text(config.to_yaml())
    started = time.monotonic()
    with nodes_for(config) as cluster:
        monkey = Monkey(cluster, config.name, plan) if plan else None
        starts, status = 0, -signal.SIGKILL
        while status == -signal.SIGKILL and _killed_drivers(monkey) == starts:
            starts += 1
            resumable = (files.checkpoints / "latest").exists()
            arguments = ["--config", str(profile), "--resume" if resumable else "--overwrite"]
            status = _drive(arguments, cluster.address, log, monkey, started + limit_s)
    profile.unlink()
    if status != 0:
        tail = "\n".join(log.read_text().splitlines()[-LAST_LINES:])
        message = f"the run {config.name} ended with exit status {status}:\n{tail}"
        if monkey is None:
            raise RunFailed(message)
        logger.error(message)
    return ChaosRun(
        exit_status=status,
        result=_result_of(files),
        rows=files.step_rows(),
        seconds=time.monotonic() - started,
        kills=dict(monkey.kills) if monkey else {},
        driver_starts=starts,
    )


@contextmanager
def nodes_for(config: RunConfig) -> Iterator[SimulatedCluster]:
    """A simulated cluster: a node for the learner, two for engines and sandboxes."""
    with simulated_cluster() as cluster:
        cluster.add("node-l", cpus=config.placement.learner_ranks)
        cpus = math.ceil(config.rollout.workers / 2) * config.rollout.threads
        for node in ("node-a", "node-b"):
            cluster.add(node, cpus=cpus, resources={"sandbox": float(config.pool.workers)})
        yield cluster


def _killed_drivers(monkey: Monkey | None) -> int:
    return monkey.kills["driver"] if monkey else 0


def _drive(
    arguments: Sequence[str], address: str, log: Path, monkey: Monkey | None, deadline: float
) -> int:
    """Run one driver process to its end, the monkey beside it; returns its exit status.

    Raises:
        TimeoutError: it has not ended when `time.monotonic()` reaches `deadline`.
    """
    command = [sys.executable, "-m", "deploy", "train", *arguments]
    env = {**os.environ, "RAY_ADDRESS": address, "PYTHONUNBUFFERED": "1"}
    with log.open("ab") as sink, log.open("r") as source:
        source.seek(0, os.SEEK_END)
        driver = subprocess.Popen(command, cwd=ROOT, env=env, stdout=sink, stderr=subprocess.STDOUT)
        try:
            unfinished = ""
            while driver.poll() is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the run has not ended within its --limit; see {log}")
                *lines, unfinished = (unfinished + source.read()).split("\n")
                for line in lines:
                    logger.info("%s", line)
                    if monkey is not None:
                        monkey.on_line(line)
                if monkey is not None:
                    monkey.tick(driver)
                time.sleep(POLL_S)
            for line in (unfinished + source.read()).splitlines():
                logger.info("%s", line)
        finally:
            if driver.poll() is None:
                driver.send_signal(signal.SIGINT)
                try:
                    driver.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    driver.kill()
                    driver.wait()
    return driver.returncode


def _result_of(files: RunFolder) -> dict[str, Any] | None:
    """What the run wrote; its folder was empty when it began."""
    return json.loads(files.result.read_text()) if files.result.exists() else None
