"""All parts of `stepcoder check`, in order, and the file that they are written to."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Collection
from pathlib import Path

from curriculum.files import write_atomic
from deploy.bench.record import machine
from deploy.machine import devices, engines, learning, runs
from deploy.machine.part import Part, PartResult, Scale, run_part
from deploy.versions import git_commit, package_versions

PARTS = (
    Part("machine", "devices, memory, driver, versions, Docker", devices.check, 60,
         "make install"),
    Part("exactness", "the learner in bfloat16 against float32", learning.exactness, 120,
         "see the log; a smaller learner.token_budget needs less memory"),
    Part("attention", "attention over packed rows against plain", learning.attention, 60,
         "set learner.dtype float32, which does not use the fused kernel"),
    Part("speed", "an update: tokens/s, MFU, peak memory", learning.speed, 120,
         "see the log; learner.gradient_checkpointing needs less memory"),
    Part("engines", "engine and learner: log-probabilities, broadcast, sleep", engines.engines, 240,
         "see the log; `nvidia-smi` says what else is on the GPU"),
    Part("nccl", "the same on two GPUs, by NCCL", engines.nccl, 240,
         "see the log; NCCL_DEBUG=INFO says more; try NCCL_P2P_DISABLE=1"),
    Part("training", "RL steps on the bundled problems", runs.bundled, 400,
         "see the log, and log.txt in the run folder"),
    Part("pretrained", "a pretrained model on given problems", runs.pretrained, 500,
         "see the log, and log.txt in the run folder"),
)  # fmt: skip
"""In the order in which they run."""


def check(
    scale: Scale, skip: Collection[str], limit_s: float, report: Callable[[PartResult], None]
) -> None:
    """Run every part that is not skipped; each result is reported as soon as it is there.

    Args:
        scale: what is checked with.
        skip: names of parts.
        limit_s: longest time for all of them [seconds].
        report: called with each result.
    """
    started = time.monotonic()
    scale.folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if part.name in skip:
            result = PartResult(part.name, part.what, "skipped", reason="--skip")
        else:
            result = run_part(part, scale, limit_s - (time.monotonic() - started))
        report(result)


def write_check(results: list[PartResult], path: Path) -> None:
    """Write every result as JSON, whole or not at all."""
    record = {
        "commit": git_commit(),
        "machine": machine(),
        "versions": package_versions(),
        "passed": not any(result.status == "failed" for result in results),
        "parts": [dataclasses.asdict(result) for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(record, indent=1) + "\n")
