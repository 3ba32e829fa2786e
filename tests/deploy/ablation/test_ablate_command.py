"""A grid of two real runs: interrupted after the first one, continued by the same command.

SIGTERM does as Ctrl-C, which a process that a shell put behind ignores.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from deploy.ablation.stored import read_stored
from deploy.cli import main
from tests.deploy.leftovers import Leftovers
from tests.deploy.local_run import SMALL, stepcoder

TINY = ("--loop.steps=2", "--loop.checkpoint_every=1", "--sft.steps=5", "--data.corpus_size=100",
        "--data.heldout_per_tier=1", "--loop.eval_samples=1")  # fmt: skip


@pytest.mark.integration
def test_a_grid_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    leftovers = Leftovers()
    out = tmp_path / "grid"
    arguments = ("ablate", "--profile", str(SMALL), "--arms", "full,ppo", "--seeds", "1",
                 "--jobs", "1", "--out", str(out), *TINY)  # fmt: skip
    first, second = (out / "results" / f"{name}.json" for name in ("full-1", "ppo-1"))
    process = stepcoder(*arguments, **leftovers.environment)
    try:
        deadline = time.monotonic() + 240
        while not first.exists() and process.poll() is None and time.monotonic() < deadline:
            leftovers.note()
            time.sleep(0.5)
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "1 of 2 runs are stored; go on with the same command:" in output
    assert f"stepcoder ablate --profile {SMALL}" in output
    assert first.exists()
    assert not second.exists()
    assert leftovers.left() == []

    written = first.read_bytes()
    process = stepcoder(*arguments)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert first.read_bytes() == written, "a stored run was run again"
    assert "ppo-1 is finished; grid: 2 of 2 runs" in output
    assert "too few seeds" in output
    assert (out / "ablation.html").stat().st_size > 100_000
    runs = [read_stored(path) for path in (first, second)]
    assert [run.samples for run in runs] == [{"asked": 32, "trained": 32, "dropped": 0}] * 2
    assert runs[0].optimizer_steps == runs[1].optimizer_steps
    assert runs[0].evaluations[0].passed == runs[1].evaluations[0].passed, "another warm start"
    caches = list((out / "runs" / "cache").glob("sft-*/config.json"))
    assert len(caches) == 1
    report = tmp_path / "results.md"
    assert main(["ablate", "report", str(out / "results"), "--markdown", str(report)]) == 0
    assert json.loads(written)["machine"]["processor"] in report.read_text()
