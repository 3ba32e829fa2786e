"""Whether every node of a run sees the files that the driver sees, found before anything starts."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection
from pathlib import Path

import ray

from actors.cluster.ray_calls import ask_everywhere, on_node
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
    addresses = {node["NodeID"]: str(node["NodeManagerAddress"]) for node in ray.nodes()}
    digests = ask_everywhere(
        f"whether its node sees {file.parent}",
        _digest,
        {f"{addresses.get(node, '')}, id {node[:8]}": on_node(node) for node in others},
        deadline_s,
        str(file),
    )
    if strangers := [name for name, digest in digests.items() if digest != expected]:
        listed = "; ".join(strangers)
        raise RunFailed(f"{len(strangers)} node(s) ({listed}) {otherwise}")


def _digest(path: str) -> str | None:
    """Digest of a file; None where it is not."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None
