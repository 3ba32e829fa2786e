"""`stepcoder k8s`: manifests for Kubernetes with KubeRay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from deploy.commands.configuration import Configuration, takes_configuration
from deploy.config import RunConfig
from deploy.errors import ConfigError

app = App(
    name="k8s",
    help_epilogue="""\
Examples:
  stepcoder k8s render --config deploy/profiles/gpu-8.yaml \\
      --image REGISTRY/stepcoder:gpu
  stepcoder k8s render --config deploy/profiles/local.yaml \\
      --image stepcoder:cpu -o smoke.yaml
  stepcoder k8s render ... -o run.yaml --resume     after a stop
  stepcoder k8s kustomize --image REGISTRY/stepcoder:gpu -o k8s
  kubectl apply -k k8s/overlays/gpu-8""",
)


Image = Annotated[str, Parameter(help="Image of every pod (docs/kubernetes.md).")]
Kind = Annotated[
    Literal["job", "cluster"],
    Parameter(help="A RayJob that trains and ends, or a RayCluster that waits for jobs."),
]
Namespace = Annotated[str, Parameter(help="Namespace of the objects.")]
Claim = Annotated[
    str, Parameter(help="PersistentVolumeClaim with models and data, for runs (many pods).")
]
GpusPerPod = Annotated[int, Parameter(help="Most GPUs of a pod: those of a node.")]
RuntimeClass = Annotated[
    str, Parameter(help="Runtime class of the sandbox's pods; `none`: the cluster's default.")
]
_READ = ("name", "model", "rollout", "learner", "placement", "pool", "sandbox")


@app.command(name="render")
@takes_configuration(*_READ)
def render(
    configuration: Configuration,
    *,
    image: Image,
    kind: Kind = "job",
    namespace: Namespace = "stepcoder",
    claim: Claim = "stepcoder",
    gpus_per_pod: GpusPerPod = 8,
    runtime_class: RuntimeClass = "gvisor",
    resume: Annotated[
        bool, Parameter(help="The job goes on from the run's last checkpoint.", negative=())
    ] = False,
    output: Annotated[
        Path | None, Parameter(("--output", "-o"), help="File to write; default: print.")
    ] = None,
) -> int:
    """Render KubeRay manifests from a profile, with resources by `stepcoder plan`."""
    from curriculum.files import write_atomic
    from deploy.k8s.manifests import to_yaml

    if resume and kind == "cluster":
        raise ConfigError("--resume: a RayCluster waits for jobs; give it to their `train`")
    config = configuration.load()
    cluster = (config.name, namespace, image, claim, runtime_class)
    text = to_yaml(*_documents(config, cluster, kind, gpus_per_pod, resume))
    if output is None:
        print(text, end="")
    else:
        write_atomic(output, text)
        print(f"written: {output}")
    return 0


@app.command(name="kustomize")
@takes_configuration(*_READ)
def kustomize(
    configuration: Configuration,
    *,
    image: Image,
    output: Annotated[Path, Parameter(("--output", "-o"), help="Folder to write.")],
    overlay: Annotated[
        tuple[Path, ...],
        Parameter(
            help="A further profile, by repetition; without --config and --overlay: gpu-8 as base, "
            "gpu-1 and gpu-4x8.",
            negative=(),
        ),
    ] = (),
    kind: Kind = "job",
    namespace: Namespace = "stepcoder",
    claim: Claim = "stepcoder",
    gpus_per_pod: GpusPerPod = 8,
    runtime_class: RuntimeClass = "gvisor",
) -> int:
    """Render a base for Kustomize from --config, and overlays from further profiles.

    Overrides of keys count for all of them. The objects of all are named `--name`, by default
    `stepcoder`: two overlays in one namespace are rendered under two names.
    """
    from deploy.config.load import PROFILES, load_config
    from deploy.k8s.kustomize import write_kustomize

    profiles = [*([configuration.profile] if configuration.profile else []), *overlay]
    if not profiles:
        profiles = [PROFILES / f"{name}.yaml" for name in ("gpu-8", "gpu-1", "gpu-4x8")]
    names = [profile.stem for profile in profiles]
    if len(set(names)) < len(names):
        raise ConfigError(f"two profiles of one name: {', '.join(map(str, profiles))}")
    overrides = configuration.override_arguments()
    if "name" not in configuration.overrides:
        overrides.append("--name=stepcoder")
    renderings = {}
    for name, profile in zip(names, profiles, strict=True):
        config = load_config(profile, overrides)
        cluster = (config.name, namespace, image, claim, runtime_class)
        renderings[name] = _documents(config, cluster, kind, gpus_per_pod)
    for folder in write_kustomize(output, renderings):
        print(f"kubectl apply -k {folder}")
    return 0


def _documents(
    config: RunConfig,
    cluster: tuple[str, str, str, str, str],
    kind: Literal["job", "cluster"],
    gpus_per_pod: int,
    resume: bool = False,
) -> tuple[list[dict[str, Any]], str]:
    from deploy.k8s.pods import Cluster
    from deploy.k8s.render import documents
    from deploy.plan.run_plan import policy_shape

    if gpus_per_pod < 1:
        raise ConfigError(f"--gpus-per-pod {gpus_per_pod}: a pod has at least one")
    name, namespace, image, claim, runtime = cluster
    pods = Cluster(name, namespace, image, claim, None if runtime == "none" else runtime)
    return documents(config, policy_shape(config), pods, kind, gpus_per_pod, resume)
