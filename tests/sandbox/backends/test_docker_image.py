"""The sandbox image: tagged by its recipe, and a clear error where it is missing."""

import pytest

from sandbox import SandboxConfig, SetupError
from sandbox.backends.docker_image import RECIPE, ensure_image, image_name


@pytest.mark.docker
def test_a_missing_image_is_a_clear_error():
    with pytest.raises(SetupError, match="no image 'nowhere/none:1'"):
        ensure_image(SandboxConfig(image="nowhere/none:1"))


def test_a_changed_recipe_changes_the_image_name(monkeypatch, tmp_path):
    before = image_name(SandboxConfig())
    for path in RECIPE.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("sandbox.backends.docker_image.RECIPE", tmp_path)
    assert image_name(SandboxConfig()) == before
    (tmp_path / "build.sh").write_text("#!/bin/sh\n")
    assert image_name(SandboxConfig()) != before
    assert image_name(SandboxConfig(image="mine:1")) == "mine:1"
