"""Fetching a model onto the nodes whose actors load it."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from actors.cluster.ray_calls import on_node
from actors.errors import RunFailed
from actors.runs.logs import forward_logs
from learner.errors import ModelError
from learner.models.source import ModelSource

logger = logging.getLogger(__name__)


def fetch_on_nodes(model: ModelSource, nodes: Collection[str]) -> None:
    """Download a model on the hub into the cache of every node that lacks it; a folder is expected
    to be on all of them.

    Args:
        model: pinned to a commit.
        nodes: Ray's ids of the nodes.

    Raises:
        RunFailed: a node cannot fetch it; the message names node and remedy.
    """
    if model.hub_name is None:
        return
    logger.info("model: %s on %d node(s)", model.path, len(nodes))
    fetches = {_fetch_task(node).remote(model): node for node in nodes}
    for reference, node in fetches.items():
        try:
            ray.get(reference)
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
