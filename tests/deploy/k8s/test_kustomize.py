"""Base and overlays for Kustomize: building an overlay gives what its profile renders to."""

from __future__ import annotations

import copy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.cli import main
from deploy.config.load import PROFILES, load_config
from deploy.errors import ConfigError
from deploy.k8s.kustomize import Document, json_patch, write_kustomize
from deploy.k8s.render import documents
from tests.deploy.k8s.test_render import CLUSTER, shape

NAMES = ("gpu-8", "gpu-1", "gpu-4x8")


@pytest.fixture(scope="module")
def made() -> dict[str, tuple[list[Document], str]]:
    configs = {name: load_config(PROFILES / f"{name}.yaml", ["--name=run"]) for name in NAMES}
    return {name: documents(config, shape(config), CLUSTER, "job", 8)
            for name, config in configs.items()}  # fmt: skip


def applied(document: Any, operations: list[Document]) -> Any:
    """RFC 6902, as far as `json_patch` uses it."""
    result = [copy.deepcopy(document)]
    for operation in operations:
        at: Any = result
        *parents, last = ["0", *operation["path"].split("/")[1:]]
        keys = [key.replace("~1", "/").replace("~0", "~") for key in (*parents, last)]
        for key in keys[:-1]:
            at = at[int(key) if isinstance(at, list) else key]
        place = int(keys[-1]) if isinstance(at, list) else keys[-1]
        if operation["op"] == "remove":
            del at[place]
        else:
            assert (place in at or isinstance(at, list)) == (operation["op"] == "replace")
            at[place] = operation["value"]
    return result[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 1}, {"a": 1}),
        ({"a/b": 1, "~": 2, "gone": 3}, {"a/b": 2, "~": [3], "new": {}}),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}),
        ({"a": [1, 2]}, {"a": [1]}),
        ({"a": {"b": 1}}, {"a": [1]}),
        ([1], {"a": None}),
        ({"a": 1}, {"a": True}),
    ],
)
def test_a_patch_makes_one_document_of_another(before: Any, after: Any) -> None:
    operations = list(json_patch(before, after))
    assert applied(before, operations) == after
    assert bool(operations) == (repr(before) != repr(after))


def test_overlays_are_small_and_make_what_their_profiles_render_to(
    tmp_path: Path, made: dict[str, tuple[list[Document], str]]
) -> None:
    write_kustomize(tmp_path, made)
    base = yaml.safe_load((tmp_path / "base" / "kustomization.yaml").read_text())["resources"]
    for name, (expected, _) in made.items():
        overlay = tmp_path / "overlays" / name
        kustomization = yaml.safe_load((overlay / "kustomization.yaml").read_text())
        patches = {patch["path"]: patch["target"] for patch in kustomization.get("patches", ())}
        assert bool(patches) == (name != NAMES[0])
        assert {path.name for path in overlay.iterdir()} == {"kustomization.yaml", *patches}
        for file, document in zip(base, expected, strict=True):
            built = yaml.safe_load((tmp_path / "base" / file).read_text())
            if file in patches:
                identity = {"kind": built["kind"], "name": built["metadata"]["name"]}
                assert patches[file] == identity
                built = applied(built, yaml.safe_load((overlay / file).read_text()))
            assert built == document


def test_an_overlay_of_another_base_is_not_left_behind(
    tmp_path: Path, made: dict[str, tuple[list[Document], str]]
) -> None:
    write_kustomize(tmp_path, made)
    write_kustomize(tmp_path, {name: made[name] for name in NAMES[:2]})
    other = {name: made[name] for name in NAMES[1:]}
    with pytest.raises(ConfigError, match=r"overlays/gpu-8 was made for another base.*--overlay"):
        write_kustomize(tmp_path, other)
    (tmp_path / "overlays" / "gpu-8" / "kustomization.yaml").write_text("resources: []\n")
    write_kustomize(tmp_path, other)


def build(folder: Path) -> dict[str, Document]:
    """What Kustomize makes of a folder, by kind."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl: install it to build the overlays with Kustomize itself")
    built = subprocess.run(
        ["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True
    )
    return {document["kind"]: document for document in yaml.safe_load_all(built.stdout)}


def test_kustomize_builds_the_renderings_and_takes_what_a_team_adds(
    tmp_path: Path, made: dict[str, tuple[list[Document], str]]
) -> None:
    for overlay in write_kustomize(tmp_path, made):
        documents, _ = made[overlay.name]
        assert build(overlay) == {document["kind"]: document for document in documents}
    own = tmp_path / "own"
    own.mkdir()
    head = "/spec/rayClusterSpec/headGroupSpec/template/spec/containers/0"
    secret = [{"op": "add", "path": f"{head}/envFrom",
               "value": [{"secretRef": {"name": "bucket"}}]}]  # fmt: skip
    (own / "kustomization.yaml").write_text(yaml.safe_dump({
        "resources": ["../overlays/gpu-8"],
        "images": [{"name": "stepcoder", "newName": "registry/stepcoder", "newTag": "7"}],
        "patches": [{"target": {"kind": "RayJob"}, "patch": yaml.safe_dump(secret)}],
    }))  # fmt: skip
    job = build(own)["RayJob"]["spec"]
    spec = job["rayClusterSpec"]
    templates = [job["submitterPodTemplate"], spec["headGroupSpec"]["template"],
                 *(group["template"] for group in spec["workerGroupSpecs"])]  # fmt: skip
    containers = [container for t in templates for container in t["spec"]["containers"]]
    assert {container["image"] for container in containers} == {"registry/stepcoder:7"}
    assert [bool(container.get("envFrom")) for container in containers[:3]] == [False, True, False]


def test_the_command_writes_base_and_overlays(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["k8s", "kustomize", "--image", "stepcoder:gpu", "-o", str(tmp_path / "k8s"),
                 "--model.path", str(tiny_model)]  # fmt: skip
    assert main([*arguments, "--kind", "cluster"]) == 0
    overlays = tmp_path / "k8s" / "overlays"
    assert f"kubectl apply -k {overlays}/gpu-8\n" in capsys.readouterr().out
    assert {path.name for path in overlays.iterdir()} == set(NAMES)
    cluster = yaml.safe_load((tmp_path / "k8s" / "base" / "raycluster.yaml").read_text())
    assert cluster["metadata"]["name"] == "stepcoder"
    twice = ["--config", str(PROFILES / "gpu-1.yaml"), "--overlay", str(PROFILES / "gpu-1.yaml")]
    assert main([*arguments, *twice]) == 2
    assert "two profiles of one name" in capsys.readouterr().err
