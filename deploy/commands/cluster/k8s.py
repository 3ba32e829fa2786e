"""`stepcoder k8s`: manifests for Kubernetes with KubeRay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from deploy.commands.configuration import Configuration, takes_configuration
from deploy.errors import ConfigError

app = App(
    name="k8s",
    help_epilogue="""\
Examples:
  stepcoder k8s render --config deploy/profiles/gpu-8.yaml \\
      --image REGISTRY/stepcoder:gpu
  stepcoder k8s render --config deploy/profiles/local.yaml \\
      --image stepcoder:cpu -o smoke.yaml""",
)


@app.command(name="render")
@takes_configuration("name", "model", "rollout", "learner", "placement", "pool", "sandbox")
def render(
    configuration: Configuration,
    *,
    image: Annotated[str, Parameter(help="Image of every pod (docs/kubernetes.md).")],
    kind: Annotated[
        Literal["job", "cluster"],
        Parameter(help="A RayJob that trains and ends, or a RayCluster that waits for jobs."),
    ] = "job",
    namespace: Annotated[str, Parameter(help="Namespace of the objects.")] = "stepcoder",
    claim: Annotated[
        str, Parameter(help="PersistentVolumeClaim with models and data, for runs (many pods).")
    ] = "stepcoder",
    gpus_per_pod: Annotated[int, Parameter(help="Most GPUs of a pod: those of a node.")] = 8,
    runtime_class: Annotated[
        str, Parameter(help="Runtime class of the sandbox's pods; `none`: the cluster's default.")
    ] = "gvisor",
    output: Annotated[
        Path | None, Parameter(("--output", "-o"), help="File to write; default: print.")
    ] = None,
) -> int:
    """Render KubeRay manifests from a profile, with resources by `stepcoder plan`."""
    from curriculum.files import write_atomic
    from deploy.k8s.pods import Cluster
    from deploy.k8s.render import render as render_manifests
    from deploy.plan.run_plan import policy_shape

    if gpus_per_pod < 1:
        raise ConfigError(f"--gpus-per-pod {gpus_per_pod}: a pod has at least one")
    config = configuration.load()
    runtime = None if runtime_class == "none" else runtime_class
    cluster = Cluster(config.name, namespace, image, claim, runtime)
    text = render_manifests(config, policy_shape(config), cluster, kind, gpus_per_pod)
    if output is None:
        print(text, end="")
    else:
        write_atomic(output, text)
        print(f"written: {output}")
    return 0
