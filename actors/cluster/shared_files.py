"""Whether every node of a run sees the files that the driver sees, found before anything starts."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Collection
from pathlib import Path

import ray

from actors.cluster.ray_calls import ask_everywhere, on_node, some_of
from actors.errors import RunFailed

_WEIGHTS = (".safetensors", ".bin")


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
            _digest,
            marker,
            nodes,
            deadline_s,
            f"do not see this run's folder {folder}, to which their ranks would write checkpoints: "
            f"set runs_dir (staging_dir, where runs_dir is a URL) to a file system that all nodes "
            f"share",
        )
    finally:
        marker.unlink(missing_ok=True)


def check_model_folder(folder: Path, nodes: Collection[str], deadline_s: float) -> None:
    """Refuse a model folder that is not the same on every node, by `folder_digest`.

    Raises:
        RunFailed: names the nodes that do not have it, or another one under this path.
    """
    _check(
        folder_digest,
        folder,
        nodes,
        deadline_s,
        f"have no model folder {folder} like the driver's: copy it to the same path there, or set "
        f"model.path to a file system that all nodes share",
    )


def _check(
    digest: Callable[[str], str | None],
    path: Path,
    nodes: Collection[str],
    deadline_s: float,
    otherwise: str,
) -> None:
    expected = digest(str(path))
    others = sorted(set(nodes) - {ray.get_runtime_context().get_node_id()})
    addresses = {node["NodeID"]: str(node["NodeManagerAddress"]) for node in ray.nodes()}
    digests = ask_everywhere(
        f"whether its node sees {path}",
        digest,
        {f"{addresses.get(node, '')}, id {node[:8]}": on_node(node) for node in others},
        deadline_s,
        str(path),
    )
    if strangers := [name for name, answer in digests.items() if answer != expected]:
        listed = some_of(strangers, "; ")
        raise RunFailed(f"{len(strangers)} node(s) ({listed}) {otherwise}")


def folder_digest(folder: str) -> str | None:
    """Digest of a model folder: its configuration, and the names and sizes of its files of weights.

    Weights are not read: that would take minutes. None where there is no configuration.
    """
    config = _digest(f"{folder}/config.json")
    if config is None:
        return None
    try:
        files = [path for path in Path(folder).iterdir() if path.suffix in _WEIGHTS]
        sizes = [f"{path.name} {path.stat().st_size}" for path in sorted(files)]
    except OSError:
        return None
    return hashlib.sha256("\n".join([config, *sizes]).encode()).hexdigest()


def _digest(path: str) -> str | None:
    """Digest of a file; None where it is not."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None
