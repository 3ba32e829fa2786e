"""Pod templates: what every pod may do, and what it may not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from deploy.k8s.groups import HEAD, PodGroup

RUN_LABEL, ROLE_LABEL = "stepcoder.run", "stepcoder.role"
SANDBOX_NODE = "stepcoder.sandbox"
"""Label and taint of the nodes on which untrusted programs run."""
CONFIG_FOLDER = "/etc/stepcoder"
SHARED_FOLDER = "/mnt/stepcoder"
"""Where the claim is mounted: runs, models and data, by the paths of the profile."""
_USER = 1000
_MIB = 1 << 20


@dataclass(frozen=True)
class Cluster:
    """What the manifests need beside the run."""

    name: str
    """Of the manifests' objects; lower case, digits and `-`."""
    namespace: str
    image: str
    """Of every pod (`deploy/images/`)."""
    claim: str
    """PersistentVolumeClaim that many pods can mount; not in the sandbox's."""
    runtime_class: str | None
    """Runtime of the sandbox's pods, such as `gvisor`; None: the cluster's default."""


def pod_template(group: PodGroup, cluster: Cluster) -> dict[str, Any]:
    """The template of a group's pods.

    Each runs as a user without privileges on a read-only root, without a token of the Kubernetes
    API. A sandbox's has neither the run's files nor its configuration besides.
    """
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}, {"name": "tmp", "mountPath": "/tmp"}]
    volumes: list[dict[str, Any]] = [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": mib(group.shared_memory)}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "20Gi"}},
    ]
    if not group.is_sandbox:
        mounts.append({"name": "shared", "mountPath": SHARED_FOLDER})
        volumes.append({"name": "shared", "persistentVolumeClaim": {"claimName": cluster.claim}})
    if group.name == HEAD:
        mounts.append({"name": "config", "mountPath": CONFIG_FOLDER})
        volumes.append({"name": "config", "configMap": {"name": f"{cluster.name}-config"}})
    container: dict[str, Any] = {
        "name": "ray",
        "image": cluster.image,
        "env": environment(group),
        "resources": _resources(group),
        "securityContext": container_security(),
        "volumeMounts": mounts,
    }
    if group.name == HEAD:
        ports = {"gcs": 6379, "dashboard": 8265, "client": 10001, "metrics": 8080}
        container["ports"] = [{"name": n, "containerPort": port} for n, port in ports.items()]
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": volumes,
    }
    if group.is_sandbox:
        spec |= {
            "nodeSelector": {SANDBOX_NODE: "true"},
            "tolerations": [
                {"key": SANDBOX_NODE, "operator": "Equal", "value": "true", "effect": "NoSchedule"}
            ],
        }
        if cluster.runtime_class:
            spec["runtimeClassName"] = cluster.runtime_class
    return {"metadata": {"labels": labels(cluster, group.name)}, "spec": spec}


def labels(cluster: Cluster, role: str) -> dict[str, str]:
    """Labels of a run's pods, by which policies select them."""
    return {RUN_LABEL: cluster.name, ROLE_LABEL: role}


def pod_security() -> dict[str, Any]:
    """Of every pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "fsGroup": _USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """Of every container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def environment(group: PodGroup | None = None) -> list[dict[str, str]]:
    """Environment of a container; without a group that of the submitter."""
    values = {"HOME": "/tmp"}
    if group is not None and not group.is_sandbox:
        values["HF_HOME"] = f"{SHARED_FOLDER}/huggingface"
    return [{"name": name, "value": value} for name, value in values.items()]


def ray_start(group: PodGroup) -> dict[str, str]:
    """Arguments of `ray start` in a group's pods."""
    arguments = {
        "num-cpus": str(group.ray_cpus),
        "num-gpus": str(group.gpus),
        "object-store-memory": str(group.objects),
    }
    if group.resources:
        # KubeRay puts the value into a shell command.
        arguments["resources"] = json.dumps(json.dumps(group.resources))
    if group.name == HEAD:
        arguments["dashboard-host"] = "0.0.0.0"
    return arguments


def _resources(group: PodGroup) -> dict[str, dict[str, str]]:
    amounts = {"cpu": str(group.cpus), "memory": mib(group.limit)}
    if group.gpus:
        amounts["nvidia.com/gpu"] = str(group.gpus)
    return {"requests": dict(amounts), "limits": dict(amounts)}


def mib(size: int) -> str:
    """A size as Kubernetes writes it."""
    return f"{-(-size // _MIB)}Mi"
