"""From a profile to its manifests."""

from __future__ import annotations

import re
from typing import Any, Literal

from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.k8s.groups import PodGroup, pod_groups
from deploy.k8s.manifests import manifests
from deploy.k8s.pods import Cluster
from deploy.plan.shape import ModelShape

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
"""What KubeRay takes: it derives longer names from it."""
_OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
"""What Kubernetes takes as the name of an object."""
MADE = "Made by `stepcoder k8s`"
"""Heading of what is made here."""
_START_S = 900.0
"""Least wait for the cluster to grant the places: pods start meanwhile [seconds]."""


def documents(
    config: RunConfig,
    shape: ModelShape,
    cluster: Cluster,
    kind: Literal["job", "cluster"],
    gpus_per_pod: int,
    resume: bool = False,
) -> tuple[list[dict[str, Any]], str]:
    """The manifests of a run, and what a person who reads them should know.

    Args:
        config: of the run.
        shape: of its policy.
        cluster: names, image and claim.
        kind: `job` trains and ends; `cluster` waits for jobs.
        gpus_per_pod: most GPUs of a pod.
        resume: whether the job goes on from the run's last checkpoint.

    Raises:
        ConfigError: the run cannot be put on Kubernetes as it is configured.
    """
    config = for_kubernetes(config)
    if not _NAME.fullmatch(cluster.name):
        raise ConfigError(
            f"name {cluster.name}: Kubernetes takes at most 40 lower-case letters, digits and `-`, "
            f"a letter first; render with --name"
        )
    named = {"namespace": cluster.namespace, "claim": cluster.claim}
    if cluster.runtime_class is not None:  # an empty one would leave the programs without it
        named["runtime-class"] = cluster.runtime_class
    for option, value in named.items():
        if not _OBJECT.fullmatch(value):
            raise ConfigError(
                f"--{option} {value!r}: no name of an object: lower-case letters, digits, `-`, `.`"
            )
    if not re.fullmatch(r"\S+", cluster.image):
        raise ConfigError(f"--image {cluster.image!r}: no name of an image")
    gpu = config.placement.accelerator == "gpu"
    groups = pod_groups(config, shape, gpu, gpus_per_pod)
    sizes = "\n".join(_line(group) for group in groups)
    head = (
        f"{MADE}; render it again instead of editing it, so that its\n"
        f"resources follow the configuration. Memory is that of `stepcoder plan`.\n{sizes}"
    )
    return manifests(config, groups, cluster, kind, resume), head


def for_kubernetes(config: RunConfig) -> RunConfig:
    """The configuration in the pods: nothing in it is decided by the cluster any more.

    Raises:
        ConfigError: it asks for Docker, which pods have not.
    """
    if config.sandbox.backend == "docker":
        raise ConfigError(
            "sandbox.backend docker: pods have no Docker engine, for that takes a privileged "
            "container; set sandbox.backend process, whose programs the sandbox's pods isolate"
        )
    placement = config.placement
    changes = {
        "accelerator": "gpu" if placement.accelerator == "gpu" else "cpu",
        "colocate": bool(placement.colocate),
        "timeout_s": max(placement.timeout_s, _START_S),
        # The driver is in the head's pod, where no model is.
        "min_free_memory_gib": min(placement.min_free_memory_gib, 1.0),
    }
    tree = config.model_dump()
    tree["placement"] |= changes
    tree["sandbox"]["backend"] = "process"
    return RunConfig.model_validate(tree)


def _line(group: PodGroup) -> str:
    gpus = f", {group.gpus} GPUs" if group.gpus else ""
    memory = f"{group.limit / 2**30:.0f} GiB"
    pods = "1 pod" if group.replicas == 1 else f"{group.replicas} pods"
    return f"  {group.name}: {pods} of {group.cpus} processors, {memory}{gpus}"
