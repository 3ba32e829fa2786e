"""`stepcoder chaos`: a run on simulated nodes while a seeded monkey kills something now and then.

Two runs of one configuration, the second with the monkey: the run must complete, its ledger must
close, and its learning curve must lie within noise of the undisturbed one's.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from actors.errors import RunFailed
from curriculum.files import write_atomic
from deploy.cluster.simulated import SimulatedCluster, simulated_cluster
from deploy.config import ConfigError, RunConfig

KINDS = ("rollout", "engine", "sandbox", "container", "learner", "node", "driver")
NODE_AWAY_S = 3.0
"""Time after which a killed node is started again [seconds]."""


@dataclass(frozen=True)
class Plan:
    """What is killed, and when."""

    every_s: float
    """Time from one kill to the next [seconds]."""
    kinds: Sequence[str]
    """What may be killed, of `KINDS`."""
    seed: int
    """Draws what and which."""
    most: int | None = None
    """Kills after which the run is left in peace; None never does."""


@dataclass
class Monkey:
    """Kills one thing now and then, as its plan says.

    It rests until the run is ready, and whenever it has killed the driver or the learner until the
    run has done another step: else a run that takes longer to load than the time between two kills
    would never get on.
    """

    cluster: SimulatedCluster
    run: str
    plan: Plan
    random: random.Random
    say: Callable[[str], None]
    kills: Counter[str] = field(default_factory=Counter)
    _due: float = 0.0
    """When to kill next; 0 rests."""
    _waits_for: str = "ready"
    """How the line begins that ends the rest."""
    _away: tuple[str, float] | None = None

    def hear(self, line: str) -> None:
        """A line that the run printed: the one waited for makes the next kill one interval away."""
        if not self._due and line.startswith(self._waits_for):
            self._due = time.monotonic() + self.plan.every_s

    def act(self, driver: subprocess.Popen[Any]) -> None:
        """Kill something if it is time to, and bring back a node that was away long enough."""
        now = time.monotonic()
        if self._away and now >= self._away[1]:
            self.settle()
        if not self._due or now < self._due or self.kills.total() == self.plan.most:
            return
        self._due = now + self.plan.every_s
        for kind in self.random.sample(self.plan.kinds, len(self.plan.kinds)):
            if struck := self._kill(kind, driver):
                victim, set_back = struck
                self.kills[kind] += 1
                self.say(f"monkey: killed {kind} {victim}")
                if set_back:
                    self._due, self._waits_for = 0.0, "step "
                return

    def settle(self) -> None:
        """Bring back the node that is away, if one is."""
        if self._away is None:
            return
        try:
            self.cluster.start(self._away[0])
        except RuntimeError as error:
            self.say(f"monkey: {error}; trying again")
            self._away = (self._away[0], time.monotonic() + NODE_AWAY_S)
        else:
            self.say(f"monkey: node {self._away[0]} is back")
            self._away = None

    def _kill(self, kind: str, driver: subprocess.Popen[Any]) -> tuple[str, bool] | None:
        """Kill one of `kind`; returns which, and whether it was or had the driver or the learner;
        None where there is none to kill.
        """
        if kind == "driver":
            driver.kill()
            return str(driver.pid), True
        if kind == "node":
            if self._away:
                return None
            name = self.random.choice(sorted(self.cluster.nodes))
            set_back = bool(self.cluster.actors("LearnerWorker", name))
            self.cluster.kill(name)
            self._away = (name, time.monotonic() + NODE_AWAY_S)
            return name, set_back
        if kind == "container":
            name = self._kill_container()
            return (name, False) if name else None
        found = {
            "rollout": lambda: self.cluster.actors("RolloutWorker"),
            "engine": self.cluster.engines,
            "sandbox": lambda: self.cluster.actors("SandboxWorker"),
            "learner": lambda: self.cluster.actors("LearnerWorker"),
        }[kind]()
        if not found:
            return None
        victim = self.random.choice(sorted(found, key=lambda process: process.pid))
        try:
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return None
        return str(victim.pid), kind == "learner"

    def _kill_container(self) -> str | None:
        from docker.errors import APIError

        from sandbox import SandboxError
        from sandbox.backends.docker_client import connect
        from sandbox.backends.owner import RUN_LABEL

        try:
            engine = connect(timeout=10)
        except SandboxError:
            return None
        try:
            found = engine.containers.list(
                filters={"label": f"{RUN_LABEL}={self.run}"}, ignore_removed=True
            )
            if not found:
                return None
            victim = self.random.choice(sorted(found, key=lambda container: container.name or ""))
            victim.kill()
            return victim.name
        except APIError:
            return None
        finally:
            engine.close()


@dataclass(frozen=True)
class Outcome:
    """One run of the pair."""

    result: dict[str, Any]
    rows: list[dict[str, float]]
    seconds: float
    kills: dict[str, int]
    driver_starts: int


def chaos(config: RunConfig, plan: Plan, limit_s: float) -> dict[str, Any]:
    """Run undisturbed, then with the monkey; returns what `chaos.json` holds.

    Raises:
        ConfigError: no such kind.
        RunFailed: a run did not complete, with the driver's last lines.
        TimeoutError: a run took longer than `limit_s`.
    """
    unknown = set(plan.kinds) - set(KINDS)
    if unknown or not plan.kinds:
        raise ConfigError(f"--kinds {', '.join(sorted(unknown))}: choose of {', '.join(KINDS)}")
    calm = _run(config, "calm", None, limit_s)
    wild = _run(config, "chaos", plan, limit_s)
    loop = config.loop
    expected = loop.steps * loop.prompts_per_step * config.rollout.samples_per_prompt
    record = compare(calm, wild, expected) | asdict(plan)
    folder = config.runs_dir / f"{config.name}-chaos"
    write_atomic(folder / "chaos.json", json.dumps(record, indent=1) + "\n")
    return record


def _run(config: RunConfig, suffix: str, plan: Plan | None, limit_s: float) -> Outcome:
    """One run of `config` on its own cluster, restarted with --resume whenever its driver dies."""
    name = f"{config.name}-{suffix}"
    folder = config.runs_dir.absolute() / name
    given = config.model_copy(update={"name": name, "runs_dir": config.runs_dir.absolute()})
    folder.mkdir(parents=True, exist_ok=True)
    folder.with_suffix(".log").unlink(missing_ok=True)
    profile = folder.with_name(f"{name}.yaml")
    profile.write_text(given.to_yaml())
    console = Console(highlight=False)
    started = time.monotonic()
    with simulated_cluster() as cluster:
        cluster.add("node-l", cpus=config.placement.learner_ranks)
        share = math.ceil(config.rollout.workers / 2) * config.rollout.threads
        for node in ("node-a", "node-b"):
            cluster.add(node, cpus=share, resources={"sandbox": float(config.pool.workers)})
        monkey = None
        if plan is not None:
            monkey = Monkey(cluster, name, plan, random.Random(plan.seed), console.print)
        starts, deadline = 0, time.monotonic() + limit_s
        while True:
            starts += 1
            mode = ["--overwrite"] if starts == 1 or not _resumable(folder) else ["--resume"]
            status = _drive(cluster, profile, mode, monkey, deadline, folder)
            if status == 0:
                break
            if status != -signal.SIGKILL or monkey is None:
                tail = (folder.with_suffix(".log")).read_text().splitlines()[-15:]
                raise RunFailed(f"the run ended with status {status}:\n" + "\n".join(tail))
    profile.unlink()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((folder / "result.json").read_text())
    kills = dict(monkey.kills) if monkey else {}
    return Outcome(result, rows, time.monotonic() - started, kills, starts)


def _resumable(folder: Path) -> bool:
    return (folder / "checkpoints" / "latest").exists()


def _drive(
    cluster: SimulatedCluster,
    profile: Path,
    mode: Sequence[str],
    monkey: Monkey | None,
    deadline: float,
    folder: Path,
) -> int:
    """Run the driver to its end, the monkey at work beside it; its exit status.

    Raises:
        TimeoutError: it has not ended when `time.monotonic()` reaches `deadline`.
    """
    command = [sys.executable, "-m", "deploy", "train", "--config", str(profile), *mode]
    env = {**os.environ, "RAY_ADDRESS": cluster.address, "PYTHONUNBUFFERED": "1"}
    log = folder.with_suffix(".log")
    with log.open("ab") as sink, log.open("r") as follow:
        follow.seek(0, os.SEEK_END)
        driver = subprocess.Popen(command, env=env, stdout=sink, stderr=subprocess.STDOUT)
        try:
            while driver.poll() is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the run has not ended within its --limit; see {log}")
                for line in follow.read().splitlines():
                    print(line, flush=True)
                    if monkey is not None:
                        monkey.hear(line)
                if monkey is not None:
                    monkey.act(driver)
                time.sleep(0.2)
            print(follow.read(), end="", flush=True)
        finally:
            if driver.poll() is None:
                driver.send_signal(signal.SIGINT)
                driver.wait(60)
    return driver.returncode


def compare(calm: Outcome, wild: Outcome, expected: int) -> dict[str, Any]:
    """What the pair shows: completion, books, and the distance of the learning curves.

    Of the `expected` samples that the configuration asks for, each must be trained on or dropped.

    The curves are pass rates by step over the samples trained on; noise is the standard error of
    their difference's mean, each step's rate taken as binomial.
    """
    curves = [[row["pass_rate"] for row in one.rows] for one in (calm, wild)]
    sizes = [[row["ledger/trained"] for row in one.rows] for one in (calm, wild)]
    distance = fmean(curves[1]) - fmean(curves[0])
    variance = sum(
        rate * (1 - rate) / max(1.0, size) / len(curve) ** 2
        for curve, each in zip(curves, sizes, strict=True)
        for rate, size in zip(curve, each, strict=True)
    )
    samples = wild.result["samples"]
    lost = expected - samples["trained"] - samples["dropped"]
    steps = [int(row["step"]) for row in wild.rows]
    return {
        "completed": bool(wild.result["finished"]),
        "steps_in_order_once": steps == list(range(1, wild.result["steps"] + 1)),
        "samples": samples,
        "samples_lost": lost,
        "same_steps_as_calm": sum(a == b for a, b in zip(*curves, strict=True)),
        "curve_distance": distance,
        "curve_noise": math.sqrt(variance),
        "within_noise": abs(distance) <= max(3 * math.sqrt(variance), 1e-9),
        "gain_calm": calm.result["gain"],
        "gain_chaos": wild.result["gain"],
        "kills": wild.kills,
        "driver_starts": wild.driver_starts,
        "restarts": wild.result["restarts"],
        "seconds_calm": calm.seconds,
        "seconds_chaos": wild.seconds,
    }


def passed(record: dict[str, Any]) -> bool:
    """Whether the run was struck and came through."""
    whole = record["completed"] and record["steps_in_order_once"]
    struck = sum(record["kills"].values()) > 0
    return struck and whole and record["samples_lost"] == 0 and record["within_noise"]


def print_record(record: dict[str, Any], console: Console | None = None) -> None:
    """The record as a table for a person."""
    table = Table(title="chaos", title_justify="left", title_style="bold", show_header=False)
    table.add_column("what")
    table.add_column("value")
    kills = ", ".join(f"{kind} {count}" for kind, count in sorted(record["kills"].items()))
    samples = record["samples"]
    table.add_row("killed", f"{sum(record['kills'].values())}: {kills}")
    table.add_row("driver started", f"{record['driver_starts']} time(s)")
    table.add_row("run completed", "yes" if record["completed"] else "NO")
    table.add_row("every step once, in order", "yes" if record["steps_in_order_once"] else "NO")
    table.add_row(
        "samples",
        f"{samples['asked']} asked, {samples['trained']} trained, {samples['dropped']} dropped, "
        f"{record['samples_lost']} lost",
    )
    table.add_row(
        "learning curve",
        f"mean pass rate {record['curve_distance']:+.4f} from the undisturbed run's "
        f"(noise {record['curve_noise']:.4f}); {record['same_steps_as_calm']} steps equal",
    )
    table.add_row("gain", f"{record['gain_chaos']:+.3f}, undisturbed {record['gain_calm']:+.3f}")
    table.add_row(
        "seconds", f"{record['seconds_chaos']:.0f}, undisturbed {record['seconds_calm']:.0f}"
    )
    table.add_row("verdict", "came through" if passed(record) else "FAILED")
    (console or Console(highlight=False)).print(table)
