"""Fetching a model onto the nodes whose actors load it."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from actors.cluster.ray_calls import on_node
from actors.errors import RunFailed
from actors.runs.logs import forward_logs
from learner.errors import ModelError
from learner.models.source import ModelSource

logger = logging.getLogger(__name__)

_LONGEST_S = 4 * 3600.0
"""Longest wait for a download [seconds]: 140 GB at 10 MB/s."""


def fetch_on_nodes(model: ModelSource, nodes: Collection[str]) -> None:
    """Download a model on the hub into the cache of every node that lacks it; a folder is expected
    to be on all of them.

    Args:
        model: pinned to a commit.
        nodes: Ray's ids of the nodes.

    Raises:
        RunFailed: a node cannot fetch it, or not within four hours; the message names node and
            remedy.
    """
    if model.hub_name is None:
        return
    logger.info("model: %s on %d node(s)", model.path, len(nodes))
    fetches = {_fetch_task(node).remote(model): node for node in nodes}
    ends = time.monotonic() + _LONGEST_S
    for reference, node in fetches.items():
        try:
            ray.get(reference, timeout=max(0.0, ends - time.monotonic()))
        except GetTimeoutError as error:
            for unfinished in fetches:
                ray.cancel(unfinished, force=True)
            raise RunFailed(
                f"node {node[:8]}: {model.path} did not arrive within {_LONGEST_S / 3600:g} hours; "
                "a further start goes on with the files that did; or fetch it there with "
                "`hf download` and set model.path to the folder"
            ) from error
        except RayTaskError as error:
            if isinstance(error.cause, ModelError):
                raise RunFailed(f"node {node[:8]}: {error.cause}") from error
            raise
        except RayError as error:
            raise RunFailed(f"node {node[:8]}: fetching {model.path}: {error}") from error


def model_folder(model: ModelSource) -> Path:
    """The model's folder on this actor's node; a node that joined later fetches it now.

    Raises:
        RunFailed: this node cannot fetch it.
    """
    folder = model.cached()
    if folder is None:
        fetch_on_nodes(model, [ray.get_runtime_context().get_node_id()])
        folder = model.cached()
    if folder is None:
        raise RunFailed(f"model {model.path}: fetched, but not in this process's cache: give every "
                        "process the same HF_HOME")  # fmt: skip
    return folder


def _fetch_task(node: str) -> Any:
    # A process of its own, because the actors' own are offline.
    return ray.remote(_fetch).options(name="fetch", num_cpus=0, max_retries=0, **on_node(node))


def _fetch(model: ModelSource) -> None:
    forward_logs("fetch")
    model.fetch()
