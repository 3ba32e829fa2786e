"""The chaos run in its short form, and what its comparison calls a failure."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.chaos.run import Monkey, Outcome, Plan, compare, passed
from deploy.cluster.simulated import SimulatedCluster

ROOT = Path(__file__).resolve().parents[3]
SMALL = Path(__file__).parents[1] / "small.yaml"


def outcome(rates: list[float], trained: int = 100, kills: int = 1, **result: Any) -> Outcome:
    rows = [
        {"step": i + 1, "pass_rate": rate, "ledger/trained": trained}
        for i, rate in enumerate(rates)
    ]
    samples = {"asked": trained * len(rates), "trained": trained * len(rates), "dropped": 0}
    whole = {
        "finished": True, "steps": len(rates), "samples": samples, "gain": 0.0, "restarts": {},
    }  # fmt: skip
    return Outcome({**whole, **result}, rows, 1.0, {"rollout": kills}, 1)


def test_equal_runs_come_through() -> None:
    record = compare(outcome([0.2, 0.4]), outcome([0.2, 0.4]), 200)
    assert passed(record)
    assert record["same_steps_as_calm"] == 2
    assert not passed(compare(outcome([0.2]), outcome([0.2], kills=0), 100)), "nothing was killed"


def test_a_curve_beyond_noise_a_lost_sample_or_a_missing_step_fails() -> None:
    calm = outcome([0.2] * 10)
    assert passed(compare(calm, outcome([0.21] * 10), 1000))
    assert not passed(compare(calm, outcome([0.35] * 10), 1000))
    assert not passed(compare(calm, outcome([0.21] * 10), 1001)), "one was never asked"
    lost = {"asked": 1000, "trained": 998, "dropped": 1}
    assert not passed(compare(calm, outcome([0.2] * 10, samples=lost), 1000))
    assert not passed(compare(calm, outcome([0.2] * 10, steps=11), 1000))


def test_the_monkey_rests_until_a_run_that_it_set_back_gets_on() -> None:
    driver = subprocess.Popen(["sleep", "60"])
    told: list[str] = []
    plan = Plan(every_s=0.0, kinds=("driver",), seed=1, most=2)
    monkey = Monkey(SimulatedCluster(None), "run", plan, random.Random(1), told.append)
    monkey.act(driver)
    assert not told  # nothing is ready yet
    monkey.hear("ready: 1 rollout worker(s)")
    monkey.act(driver)
    driver.wait(10)
    monkey.act(driver)
    monkey.hear("ready: 1 rollout worker(s)")
    monkey.act(driver)
    assert told == [f"monkey: killed driver {driver.pid}"]
    for _ in range(2):
        monkey.hear("step  3/12  reward")
        monkey.act(driver)
    assert monkey.kills == {"driver": plan.most}


@pytest.mark.integration
@pytest.mark.timeout(1500)
def test_a_run_under_a_monkey_completes_and_its_books_close(tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    finished = subprocess.run(
        [sys.executable, "-m", "deploy", "chaos", "--config", str(SMALL), "--every", "1.5",
         "--kills", "5", "--kinds", "rollout,engine,sandbox,container,learner,node", "--seed", "3",
         "--limit", "600", "--runs_dir", str(tmp_path), "--loop.steps", "12",
         "--weights.timeout_s", "30",
         "--rollout.workers", "2", "--pool.workers", "2", "--pool.slots_per_worker", "1"],
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=1400, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout
    record = json.loads((tmp_path / "small-chaos" / "chaos.json").read_text())
    assert passed(record)
    assert sum(record["kills"].values()) >= 3
    assert record["samples"]["asked"] == 12 * 16
