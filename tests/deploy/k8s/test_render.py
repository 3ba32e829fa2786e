"""The manifests of every shipped profile: valid, within the policy, large enough for the run."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from actors.cluster.placement import roles
from deploy.cli import main
from deploy.config import RunConfig, load_config
from deploy.errors import ConfigError
from deploy.k8s.groups import SANDBOX, pod_groups
from deploy.k8s.manifests import to_yaml
from deploy.k8s.pods import SANDBOX_NODE, Cluster
from deploy.k8s.render import documents as rendered
from deploy.k8s.render import for_kubernetes
from deploy.plan.run_plan import policy_shape
from deploy.plan.shape import ModelShape, shape_of
from tests.deploy.model_configs import MODELS

PROFILES = sorted((Path(__file__).resolve().parents[3] / "deploy" / "profiles").glob("*.yaml"))
CLUSTER = Cluster("run", "stepcoder", "stepcoder:gpu", "stepcoder", "gvisor")
VERSION = "1.32"
"""Of Kubernetes, whose schemas `kubernetes-validate` brings."""


def shape(config: RunConfig) -> ModelShape:
    if config.model.path is None:
        return policy_shape(config)
    with torch.device("meta"):
        return shape_of(AutoModelForCausalLM.from_config(MODELS[config.model.path]))


def documents(profile: Path, kind: Any = "job") -> dict[str, Any]:
    config = load_config(profile, [])
    text = to_yaml(*rendered(config, shape(config), CLUSTER, kind, 8))
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def cluster_spec(profile: Path) -> dict[str, Any]:
    return documents(profile)["RayJob"]["spec"]["rayClusterSpec"]


def templates(profile: Path) -> dict[str, dict[str, Any]]:
    """Every pod template of a profile's job, by its group."""
    job = documents(profile)["RayJob"]["spec"]
    spec = job["rayClusterSpec"]
    return {
        "submitter": job["submitterPodTemplate"],
        "head": spec["headGroupSpec"]["template"],
        **{group["groupName"]: group["template"] for group in spec["workerGroupSpecs"]},
    }


def strict(schema: Any) -> Any:
    """The schema, refusing fields that it does not name, as the Kubernetes API does."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: strict(value) for key, value in schema.items()}
    named = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if named and "x-kubernetes-preserve-unknown-fields" not in schema:
        changed.setdefault("additionalProperties", False)
    return changed


def kuberay(name: str) -> dict[str, Any]:
    folder = Path(os.environ.get("STEPCODER_DATA", "../shared/data")) / "kuberay"
    path = folder / f"{name}.v1.schema.json"
    if not path.exists():
        pytest.skip(f"{path}: KubeRay's schemas are not there; set STEPCODER_DATA")
    schema = json.loads(path.read_text())
    # Every object of Kubernetes has these; KubeRay's schema describes metadata as an object.
    schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    return strict(schema)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_jobs_and_clusters_are_valid_by_kuberays_schemas(profile: Path) -> None:
    jsonschema.validate(documents(profile)["RayJob"], kuberay("rayjobs"))
    jsonschema.validate(documents(profile, "cluster")["RayCluster"], kuberay("rayclusters"))


def test_a_misspelt_field_is_not_valid() -> None:
    job = copy.deepcopy(documents(PROFILES[0])["RayJob"])
    container = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    container["imagePulPolicy"] = "Always"
    with pytest.raises(jsonschema.ValidationError, match="imagePulPolicy"):
        jsonschema.validate(job, kuberay("rayjobs"))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_pods_and_policies_are_valid_by_kubernetes_schemas(profile: Path) -> None:
    made = documents(profile)
    for kind in ("ConfigMap", "NetworkPolicy"):
        kubernetes_validate.validate(made[kind], VERSION, strict=True)
    for name, template in templates(profile).items():
        pod = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(template)}
        pod["metadata"]["name"] = name
        kubernetes_validate.validate(pod, VERSION, strict=True)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_no_pod_has_privileges_or_a_token(profile: Path) -> None:
    for template in templates(profile).values():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert "serviceAccountName" not in spec
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
        security = spec["securityContext"]
        assert security["runAsNonRoot"]
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any("hostPath" in volume for volume in spec["volumes"])
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in own
            resources = container["resources"]
            assert resources["requests"] == resources["limits"]
            assert {"cpu", "memory"} <= set(resources["limits"])


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_untrusted_programs_have_pods_of_their_own(profile: Path) -> None:
    made = templates(profile)
    sandbox = made[SANDBOX]["spec"]
    assert sandbox["runtimeClassName"] == "gvisor"
    assert sandbox["nodeSelector"] == {SANDBOX_NODE: "true"}
    (toleration,) = sandbox["tolerations"]
    assert (toleration["key"], toleration["effect"]) == (SANDBOX_NODE, "NoSchedule")
    assert {volume["name"] for volume in sandbox["volumes"]} == {"shm", "tmp"}
    for name, template in made.items():
        if name != SANDBOX:
            assert "tolerations" not in template["spec"], f"{name} stays off the sandbox's nodes"
    groups = {group["groupName"]: group for group in cluster_spec(profile)["workerGroupSpecs"]}
    advertised = [name for name, g in groups.items() if "resources" in g["rayStartParams"]]
    assert advertised == [SANDBOX]
    parameters = groups[SANDBOX]["rayStartParams"]
    assert json.loads(json.loads(parameters["resources"])) == {"sandbox": 1}
    assert (parameters["num-cpus"], parameters["num-gpus"]) == ("0", "0")


def test_the_sandbox_reaches_the_head_and_dns_only() -> None:
    made = documents(PROFILES[0])
    policy = made["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    pods = templates(PROFILES[0])
    assert policy["podSelector"]["matchLabels"] == pods[SANDBOX]["metadata"]["labels"]
    head, dns = policy["egress"]
    assert head["to"] == [{"podSelector": {"matchLabels": pods["head"]["metadata"]["labels"]}}]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert len(dns["to"]) == 1
    (ingress,) = policy["ingress"]
    assert ingress["from"] == [{"podSelector": {"matchLabels": {"stepcoder.run": "run"}}}]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_shared_memory_is_a_memory_volume_that_holds_the_objects(profile: Path) -> None:
    spec = cluster_spec(profile)
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        volumes = {volume["name"]: volume for volume in group["template"]["spec"]["volumes"]}
        shm = volumes["shm"]["emptyDir"]
        assert shm["medium"] == "Memory"
        objects = int(group["rayStartParams"]["object-store-memory"])
        assert int(shm["sizeLimit"].removesuffix("Mi")) << 20 >= objects
        (container,) = group["template"]["spec"]["containers"]
        limit = int(container["resources"]["limits"]["memory"].removesuffix("Mi"))
        assert limit > int(shm["sizeLimit"].removesuffix("Mi"))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("gpus_per_pod", [2, 3, 8])
def test_the_pods_have_a_place_for_every_actor(profile: Path, gpus_per_pod: int) -> None:
    config = for_kubernetes(load_config(profile, []))
    gpu = config.placement.accelerator == "gpu"
    groups = pod_groups(config, shape(config), gpu, gpus_per_pod)
    pods = [
        {"CPU": g.ray_cpus, "GPU": g.gpus, "sandbox": g.sandboxes}
        for g in groups
        for _ in range(g.replicas)
    ]
    assert max(pod["GPU"] for pod in pods) <= gpus_per_pod
    required = roles(config.placement, config.rollout, config.pool, gpu)
    for who, count, bundle in required:
        for _ in range(count):
            pod = next((p for p in pods if fits(bundle, p)), None)
            assert pod is not None, f"no place for {who}"
            for kind, amount in bundle.items():
                pod[kind] -= int(amount)
    wanted = sum(count * bundle.get("GPU", 0) for _, count, bundle in required)
    had = sum(group.gpus * group.replicas for group in groups)
    assert wanted <= had <= wanted + gpus_per_pod, "no pod more than the run needs"


def fits(bundle: dict[str, float], pod: dict[str, int]) -> bool:
    return all(amount <= pod[kind] for kind, amount in bundle.items())


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_the_configuration_in_the_manifest_is_the_profiles(profile: Path, tmp_path: Path) -> None:
    made = documents(profile)
    path = tmp_path / "run.yaml"
    path.write_text(made["ConfigMap"]["data"]["run.yaml"])
    config, given = load_config(path, []), load_config(profile, [])
    free = {"placement", "sandbox"}
    assert config.model_dump(exclude=free) == given.model_dump(exclude=free)
    assert config.sandbox.backend == "process"
    assert config.placement.colocate is bool(given.placement.colocate)
    entrypoint = made["RayJob"]["spec"]["entrypoint"]
    assert "/etc/stepcoder/run.yaml" in entrypoint


def test_what_cannot_be_put_on_kubernetes_is_refused() -> None:
    local = next(profile for profile in PROFILES if profile.stem == "local")
    docker = load_config(local, ["--sandbox.backend=docker"])
    with pytest.raises(ConfigError, match="pods have no Docker engine"):
        rendered(docker, shape(docker), CLUSTER, "job", 8)
    wide = load_config(
        local,
        ["--placement.accelerator=gpu", "--rollout.tensor_parallel=4", "--rollout.threads=2"],
    )
    with pytest.raises(ConfigError, match="more than the 2 GPUs of a pod"):
        rendered(wide, shape(wide), CLUSTER, "job", 2)
    named = Cluster("My_Run", "stepcoder", "image", "claim", None)
    with pytest.raises(ConfigError, match="lower-case letters"):
        rendered(load_config(local, []), shape(load_config(local, [])), named, "job", 8)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("runtime_class", "", "--runtime-class ''"),  # of a variable that is not set
        ("runtime_class", "gVisor", "--runtime-class 'gVisor'"),
        ("namespace", "A b", "--namespace 'A b'"),
        ("claim", "", "--claim ''"),
        ("image", "", "--image ''"),
    ],
)
def test_names_that_kubernetes_does_not_take_are_refused(
    field: str, value: str, message: str
) -> None:
    local = load_config(next(profile for profile in PROFILES if profile.stem == "local"), [])
    with pytest.raises(ConfigError, match=message):
        rendered(local, shape(local), replace(CLUSTER, **{field: value}), "job", 8)


def test_the_command_writes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local = str(next(profile for profile in PROFILES if profile.stem == "local"))
    out = tmp_path / "smoke.yaml"
    arguments = ["k8s", "render", "--config", local, "--image", "stepcoder:cpu"]
    assert main([*arguments, "--kind", "cluster", "--runtime-class", "none", "-o", str(out)]) == 0
    assert "written" in capsys.readouterr().out
    made = {document["kind"]: document for document in yaml.safe_load_all(out.read_text())}
    assert set(made) == {"ConfigMap", "NetworkPolicy", "RayCluster"}
    assert "runtimeClassName" not in out.read_text()
    assert main([*arguments, "--gpus-per-pod", "0"]) == 2
    assert "a pod has at least one" in capsys.readouterr().err
    assert main([*arguments, "--resume", "-o", str(out)]) == 0
    assert "# Made by" in out.read_text()
    assert "run.yaml --resume'" in out.read_text()
    assert "head: 1 pod of" in out.read_text()
    assert main([*arguments, "--resume", "--kind", "cluster"]) == 2
    assert "a RayCluster waits for jobs" in capsys.readouterr().err
