"""The documents: the run's configuration, the sandbox's network policy, a RayJob or RayCluster."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal

import yaml

from deploy.config import RunConfig
from deploy.k8s.groups import HEAD, SANDBOX, PodGroup
from deploy.k8s.pods import (
    CONFIG_FOLDER,
    SHARED_FOLDER,
    Cluster,
    container_security,
    environment,
    labels,
    pod_security,
    pod_template,
    ray_start,
)

_API = "ray.io/v1"
_DNS = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]


def manifests(
    config: RunConfig,
    groups: Sequence[PodGroup],
    cluster: Cluster,
    kind: Literal["job", "cluster"],
    resume: bool = False,
) -> list[dict[str, Any]]:
    """Every document of a run.

    Args:
        config: of the run; paths in it are relative to the claim, or absolute in a pod.
        groups: of its pods.
        cluster: names, image and claim.
        kind: `job` trains and ends; `cluster` waits for jobs.
        resume: whether the job goes on from the run's last checkpoint.
    """
    ray_cluster = _cluster_spec(groups, cluster)
    documents = [_config_map(config, cluster), _sandbox_policy(cluster)]
    if kind == "cluster":
        return [*documents, _document(_API, "RayCluster", cluster, ray_cluster)]
    train = f"cd {SHARED_FOLDER} && exec stepcoder train --config {CONFIG_FOLDER}/run.yaml"
    train += " --resume" if resume else ""
    job = {
        "entrypoint": f"sh -c '{train}'",
        "submissionMode": "K8sJobMode",
        "submitterPodTemplate": _submitter(cluster),
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 600,
        "backoffLimit": 0,
        "rayClusterSpec": ray_cluster,
    }
    return [*documents, _document(_API, "RayJob", cluster, job)]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(documents: Sequence[dict[str, Any]], head: str) -> str:
    """The documents in one file, below a comment."""
    texts = [yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000)
             for document in documents]  # fmt: skip
    return "".join(f"# {line}\n" for line in head.splitlines()) + "---\n".join(["", *texts])


def _document(api: str, kind: str, cluster: Cluster, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": _metadata(cluster), "spec": spec}


def _metadata(cluster: Cluster, suffix: str = "") -> dict[str, Any]:
    return {"name": f"{cluster.name}{suffix}", "namespace": cluster.namespace,
            "labels": {"app.kubernetes.io/name": "stepcoder"}}  # fmt: skip


def _config_map(config: RunConfig, cluster: Cluster) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(cluster, "-config"),
        "data": {"run.yaml": config.to_yaml()},
    }


def _sandbox_policy(cluster: Cluster) -> dict[str, Any]:
    """Pods of the sandbox reach the head and DNS, and are reached by the run's pods only."""
    run = {"podSelector": {"matchLabels": {k: v for k, v in labels(cluster, "").items() if v}}}
    head = {"podSelector": {"matchLabels": labels(cluster, HEAD)}}
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    spec = {
        "podSelector": {"matchLabels": labels(cluster, SANDBOX)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [run]}],
        # Without the rule for DNS no pod finds the head, and the cluster never starts.
        "egress": [{"to": [head]}, {"to": [dns], "ports": _DNS}],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(cluster, "-sandbox"),
        "spec": spec,
    }


def _cluster_spec(groups: Sequence[PodGroup], cluster: Cluster) -> dict[str, Any]:
    head = next(group for group in groups if group.name == HEAD)
    workers = [group for group in groups if group.name != HEAD]
    return {
        "rayVersion": version("ray"),
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            "rayStartParams": ray_start(head),
            "template": pod_template(head, cluster),
        },
        "workerGroupSpecs": [
            {
                "groupName": group.name,
                "replicas": group.replicas,
                "minReplicas": group.replicas,
                "maxReplicas": group.replicas,
                "rayStartParams": ray_start(group),
                "template": pod_template(group, cluster),
            }
            for group in workers
        ],
    }


def _submitter(cluster: Cluster) -> dict[str, Any]:
    """The pod that submits the job and follows its log."""
    amounts = {"cpu": "500m", "memory": "512Mi"}
    return {
        "metadata": {"labels": labels(cluster, "submitter")},
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "securityContext": pod_security(),
            "containers": [
                {
                    "name": "submitter",
                    "image": cluster.image,
                    "env": environment(),
                    "resources": {"requests": dict(amounts), "limits": dict(amounts)},
                    "securityContext": container_security(),
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
        },
    }
