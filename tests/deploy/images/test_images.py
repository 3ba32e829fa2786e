"""The cluster images: what their Dockerfile copies exists, and what cannot be built is said."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "deploy" / "images" / "build.sh"
DOCKERFILE = (ROOT / "deploy" / "images" / "Dockerfile").read_text()


def build(*arguments: str, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUILD, *arguments],
        env={"PATH": path, **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def docker(folder: Path, script: str) -> str:
    """A PATH on which `docker` is this script."""
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "docker").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck here: apt-get install shellcheck")
    done = subprocess.run(["shellcheck", BUILD], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_copied_file_exists_and_enters_the_build() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            for extra in ("cpu", "gpu"):
                name = source.replace("${EXTRA}", extra)
                assert name.split("/")[0] in allowed
                assert "[" in name or (ROOT / name).exists(), name


def test_nothing_runs_as_root_and_versions_are_pinned() -> None:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users[-1] == "1000"
    assert "--constraint" in DOCKERFILE
    install = (ROOT / "deploy" / "install" / "install.sh").read_text()
    (uv,) = re.findall(r"uv==([\d.]+)", DOCKERFILE)
    assert f"uv_version={uv}" in install
    assert re.search(r"--from cyclonedx-bom==[\d.]+ cyclonedx-py environment", DOCKERFILE)


@pytest.mark.parametrize("dockerfile", ["deploy/images/Dockerfile", "sandbox/image/Dockerfile"])
def test_a_base_is_pinned_by_its_digest(dockerfile: str) -> None:
    text = (ROOT / dockerfile).read_text()
    (base,) = re.findall(r"^ARG BASE=(.+)$", text, re.MULTILINE)
    assert re.fullmatch(r"python:3\.1[13]-slim(-bookworm)?@sha256:[0-9a-f]{64}", base)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}


def test_what_cannot_be_built_is_skipped_with_the_reason(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for tool in ("sh", "sed", "dirname", "timeout"):
        os.symlink(shutil.which(tool) or "", bare / tool)
    done = build("cpu", path=str(bare))
    assert (done.returncode, done.stdout) == (
        0, "images: skipped cpu: there is no docker command: install Docker\n",
    )  # fmt: skip
    done = build(path=docker(tmp_path / "silent", "exit 1"))
    assert "skipped cpu gpu sandbox: no Docker engine answers" in done.stdout
    alone = docker(tmp_path / "alone", '[ "$1" = version ]')
    done = build("gpu", path=alone, BASE="absent:1")
    assert done.returncode == 0
    assert "its base absent:1 is not here and cannot be pulled" in done.stdout
    assert "its base python:3.11-slim-bookworm@sha256:" in build("gpu", path=alone).stdout
    assert build("tpu", path=alone).returncode == 2
    # Root on Debian makes the sandbox image from packages; anyone else says what is missing.
    (tmp_path / "alone" / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "alone" / "id").chmod(0o755)
    done = build("sandbox", path=alone, SANDBOX_BASE="absent:2")
    assert done.stdout.startswith("images: skipped sandbox: its base absent:2 is not here")
    assert done.returncode == 0


def test_a_build_that_fails_fails_the_command(tmp_path: Path) -> None:
    done = build("cpu", path=docker(tmp_path / "broken", '[ "$1" != build ]'))
    assert done.returncode != 0
    assert "building stepcoder:" in done.stdout


def test_each_variant_is_built_with_its_arguments(tmp_path: Path) -> None:
    log = tmp_path / "log"
    path = docker(tmp_path / "logging", f'echo "$*" >>{log}; [ "$1" != run ] || echo 0.1.0')
    done = build(path=path, BASE="base:1", NETWORK="host", STORES="s3fs gcsfs")
    assert done.returncode == 0, done.stderr
    builds = [line for line in log.read_text().splitlines() if line.startswith("build")]
    assert len(builds) == 3
    assert "--build-arg EXTRA=cpu" in builds[0]
    assert "TORCH_BACKEND=cpu" in builds[0]
    assert "--build-arg EXTRA=gpu" in builds[1]
    assert "TORCH_BACKEND=auto" in builds[1]
    assert all("--network host" in line for line in builds)
    assert all("BASE=base:1" in line for line in builds[:2])
    assert all("--build-arg STORES=s3fs gcsfs" in line for line in builds[:2])
    assert builds[2].endswith(" sandbox/image")
    assert "--tag stepcoder-sandbox:" in builds[2]
    assert "BASE=python:3.13-slim@sha256:" in builds[2]
    assert "stepcoder 0.1.0" in done.stdout
