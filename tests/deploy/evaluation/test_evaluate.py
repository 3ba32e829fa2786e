"""An evaluation on real engines and sandboxes: killed half-way, it continues to the same result."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.deploy.local_run import stepcoder

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PROBLEMS, SAMPLES = 6, 8
OF_THE_CLOCK = ("seconds", "tokens_per_s", "processes")


def evaluation(model: Path | str, out: Path, *arguments: str) -> list[str]:
    return [
        "eval", "--model", str(model), "--suite", "synthetic", "--out", str(out),
        "--data.heldout_per_tier", str(PROBLEMS // 3), "--sandbox.backend", "process",
        "--placement.min_free_memory_gib", "1", "--rollout.kv_cache_mib", "64",
        *arguments,
    ]  # fmt: skip


def sampled(model: Path, out: Path, *arguments: str) -> list[str]:
    """Four sequences at a time, so that samples end one after the other."""
    return evaluation(
        model, out, "--samples", str(SAMPLES), "--temperature", "0.9", "--top-p", "0.8",
        "--k", "1,4", "--max-new-tokens", "48", "--rollout.max_num_seqs", "4", *arguments,
    )  # fmt: skip


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def rows(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The lines of a file by problem and sample, without their times."""
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    for row in found:
        for clock in ("wall_seconds", "cpu_seconds", "generation_seconds"):
            row.pop(clock, None)
    assert len({(row["problem"], row["sample"]) for row in found}) == len(found), "one is twice"
    return {(row["problem"], row["sample"]): row for row in found}


def result(out: Path) -> dict[str, Any]:
    """The result, without what depends on the clock."""
    content = json.loads((out / "result.json").read_text())
    return {key: value for key, value in content.items() if key not in OF_THE_CLOCK}


def test_a_killed_evaluation_resumes_to_the_result_of_one_that_was_not(
    tiny_model: Path, tmp_path: Path, ray_cluster: str
) -> None:
    """The one that is killed has a Ray cluster of its own, which ends with it."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    undisturbed = stepcoder(*sampled(tiny_model, whole), RAY_ADDRESS=ray_cluster)
    output, _ = undisturbed.communicate(timeout=400)
    assert undisturbed.returncode == 0, output
    assert "pass@4" in output
    assert lines(whole / "samples.jsonl") == lines(whole / "verdicts.jsonl") == PROBLEMS * SAMPLES

    killed = stepcoder(*sampled(tiny_model, cut))
    while lines(cut / "verdicts.jsonl") < 5:
        assert killed.poll() is None, killed.communicate()[0]
        time.sleep(0.01)
    killed.send_signal(signal.SIGSTOP)  # it would go on while its processes are listed
    started = psutil.Process(killed.pid).children(recursive=True)
    # Ray's agents look for their raylet once in a while, and end by themselves.
    engines = [process for process in started if "Agent" not in process.name()]
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=120)
    judged_before = lines(cut / "verdicts.jsonl")
    assert judged_before < PROBLEMS * SAMPLES
    assert psutil.wait_procs(engines, timeout=60)[1] == [], "processes of the killed one are left"

    resumed = stepcoder(*sampled(tiny_model, cut, "--resume"), RAY_ADDRESS=ray_cluster)
    output, _ = resumed.communicate(timeout=400)
    assert resumed.returncode == 0, output
    for name in ("samples.jsonl", "verdicts.jsonl"):
        assert rows(cut / name) == rows(whole / name)
    assert result(cut) == result(whole)
    assert (cut / "problems.jsonl").read_text() == (whole / "problems.jsonl").read_text()

    compared = stepcoder("eval", "compare", str(whole), str(cut), "--json")
    output, _ = compared.communicate(timeout=60)
    [first, _] = [row for row in json.loads(output) if row["tier"] is None]
    assert (first["difference"]["estimate"], first["won"], first["lost"]) == (0.0, [], [])
