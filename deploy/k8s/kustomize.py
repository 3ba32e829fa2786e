"""A folder for Kustomize: the manifests of one profile as base, those of others as patches to it.

An overlay is computed from two renderings, so that building it gives what `stepcoder k8s render`
gives for its profile, and no number is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curriculum.files import write_atomic
from deploy.errors import ConfigError
from deploy.k8s.manifests import to_yaml
from deploy.k8s.render import MADE

Document = dict[str, Any]
_API = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
_FILE = "kustomization.yaml"


def write_kustomize(
    folder: Path, renderings: Mapping[str, tuple[Sequence[Document], str]]
) -> list[Path]:
    """Write `base/` and `overlays/<name>/`; returns the overlays.

    Args:
        folder: existing files of these names are replaced.
        renderings: documents and heading comment of each overlay, of equal kinds and names in one
            order. The first is the base, and its overlay changes nothing.

    Raises:
        ConfigError: `folder` has an overlay that an earlier call made for another base.
    """
    (base, _), *_ = renderings.values()
    overlays = [folder / "overlays" / name for name in renderings]
    files = [f"{document['kind'].lower()}.yaml" for document in base]
    heading = f"Base, from the profile {overlays[0].name}"
    texts = [_text(document, heading) for document in base]
    _refuse_others(overlays, {folder / "base" / file: text
                              for file, text in zip(files, texts, strict=True)})  # fmt: skip
    for document, file in zip(base, files, strict=True):
        _write(folder / "base" / file, document, heading)
    _write(folder / "base" / _FILE, {**_API, "resources": files}, "")
    for overlay, (documents, head) in zip(overlays, renderings.values(), strict=True):
        patches: list[Document] = []
        for before, after, file in zip(base, documents, files, strict=True):
            if operations := list(json_patch(before, after)):
                _write(overlay / file, operations, "")
                target = {"kind": before["kind"], "name": before["metadata"]["name"]}
                patches.append({"path": file, "target": target})
            else:
                (overlay / file).unlink(missing_ok=True)
        content = {**_API, "resources": ["../../base"]} | ({"patches": patches} if patches else {})
        _write(overlay / _FILE, content, head)
    return overlays


def json_patch(before: Any, after: Any, path: str = "") -> Iterator[Document]:
    """Operations of RFC 6902 from one document to another; lists of other length as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in (key for key in before if key not in after):
            yield {"op": "remove", "path": _below(path, key)}
        for key in after:
            if key in before:
                yield from json_patch(before[key], after[key], _below(path, key))
            else:
                yield {"op": "add", "path": _below(path, key), "value": after[key]}
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from json_patch(old, new, _below(path, index))
    elif type(before) is not type(after) or before != after:
        yield {"op": "replace", "path": path, "value": after}


def _below(path: str, key: str | int) -> str:
    return f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _refuse_others(overlays: Sequence[Path], base: Mapping[Path, str]) -> None:
    """Refuse a new base where an overlay stays that patches another one."""
    changed = any(file.exists() and file.read_text() != text for file, text in base.items())
    if changed or not all(file.exists() for file in base):
        for other in sorted(overlays[0].parent.glob(f"*/{_FILE}")):
            if other.parent not in overlays and other.read_text().startswith(f"# {MADE}"):
                raise ConfigError(
                    f"{other.parent} was made for another base, which would be replaced: render it "
                    "too, with --overlay PROFILE, or remove it"
                )


def _text(content: Any, head: str) -> str:
    # By way of JSON, so that no part is an alias of another.
    return to_yaml([json.loads(json.dumps(content))], head)


def _write(path: Path, content: Any, head: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, _text(content, head))
