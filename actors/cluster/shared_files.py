"""Whether every node of a run sees the files that the driver sees, found before anything starts."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.errors import RunFailed


def check_run_folder(folder: Path, nodes: Collection[str], deadline_s: float) -> None:
    """Refuse a run folder that a learner rank would write to where the driver does not read.

    Its checkpoint would be declared whole by the driver, and could never be restored. A marker file
    is written, looked for on every node, and removed.

    Args:
        folder: of the run; exists.
        nodes: Ray's ids of the nodes with a learner rank or an engine.
        deadline_s: longest wait for all nodes [seconds].

    Raises:
        RunFailed: names the nodes that do not see it.
    """
    marker = folder / f".shared-{uuid.uuid4().hex}"
    marker.write_text(marker.name)
    try:
        _check(
            marker,
            nodes,
            deadline_s,
            f"do not see this run's folder {folder}, to which their ranks would write checkpoints: "
            f"set runs_dir to a file system that all nodes share",
        )
    finally:
        marker.unlink(missing_ok=True)


def check_model_folder(folder: Path, nodes: Collection[str], deadline_s: float) -> None:
    """Refuse a model folder that is not the same on every node.

    Raises:
        RunFailed: names the nodes that do not have it.
    """
    _check(
        folder / "config.json",
        nodes,
        deadline_s,
        f"have no model folder {folder} like the driver's: copy it to the same path there, or set "
        f"model.path to a file system that all nodes share",
    )


def _check(file: Path, nodes: Collection[str], deadline_s: float, otherwise: str) -> None:
    expected = _digest(str(file))
    others = sorted(set(nodes) - {ray.get_runtime_context().get_node_id()})
    task: Any = ray.remote(_digest)
    calls = [
        task.options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(str(file))
        for node in others
    ]
    try:
        digests = ray.get(calls, timeout=deadline_s)
    except (GetTimeoutError, RayError) as error:
        raise RunFailed(
            f"not every node of this run said within {deadline_s:g} s (placement.timeout_s) "
            f"whether it sees {file.parent}: {type(error).__name__}: {error}"
        ) from error
    pairs = zip(others, digests, strict=True)
    if strangers := [node for node, digest in pairs if digest != expected]:
        addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}
        listed = ", ".join(str(addresses.get(node, node[:8])) for node in strangers)
        raise RunFailed(f"{len(strangers)} node(s) ({listed}) {otherwise}")


def _digest(path: str) -> str | None:
    """Digest of a file; None where it is not."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None
