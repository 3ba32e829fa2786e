"""The sandbox image: tagged with a digest of its recipe and packages, built when missing."""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, BuildError, DockerException, ImageNotFound

from sandbox.backends.docker_client import connect
from sandbox.backends.packages import DESCRIBE, download
from sandbox.config import DEFAULT_IMAGE, SandboxConfig
from sandbox.errors import SetupError

logger = logging.getLogger(__name__)

RECIPE = Path(__file__).parents[1] / "image"
BUILD_SECONDS = 900


def image_name(config: SandboxConfig) -> str:
    """The image's full name.

    The default image's tag is a digest of its recipe, so that a changed recipe builds a new image;
    with packages, of these too.
    """
    if config.image != DEFAULT_IMAGE:
        return config.image
    base = _base_name()
    if not config.requirements:
        return base
    packages = hashlib.sha256("\n".join(config.requirements).encode()).hexdigest()
    return f"{base}-{packages[:12]}"


def _base_name() -> str:
    """The default image without packages."""
    digest = hashlib.sha256()
    for path in sorted(RECIPE.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{DEFAULT_IMAGE}:{digest.hexdigest()[:12]}"


def ensure_image(config: SandboxConfig, client: DockerClient | None = None) -> str:
    """The name of an image that exists, built if it is missing (about a minute, once per machine).

    Raises:
        SetupError: no engine answers, `config.image` names a missing image, or the build fails.
    """
    client = client or connect()
    name = image_name(config)
    if _exists(client, name):
        return name
    if config.image != DEFAULT_IMAGE:
        raise SetupError(
            f"the engine has no image {name!r}: pull or build it, or leave out `image` to use the "
            "default one"
        )
    # Several processes of a run may start at once on one machine: one builds, the others wait.
    lock = Path(tempfile.gettempdir()) / f"stepcoder-image-{os.getuid()}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not _exists(client, name):
            base = _base_name()
            if not _exists(client, base):
                _build(client, base, config)
            if name != base:
                _add_packages(client, base, name, config.requirements)
    return name


def _exists(client: DockerClient, name: str) -> bool:
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def _build(client: DockerClient, name: str, config: SandboxConfig) -> None:
    source = config.image_source
    if source == "auto":
        source = "debian" if _can_bootstrap() else "registry"
    logger.info(
        "building the sandbox image %s (source: %s); this is done once per machine", name, source
    )
    if source == "debian":
        _build_from_packages(client, name)
    else:
        _build_from_registry(client, name)


def _add_packages(
    client: DockerClient, base: str, name: str, requirements: tuple[str, ...]
) -> None:
    """Make an image of `base` with the packages installed and compiled."""
    logger.info("adding %s to the sandbox image; this is done once", ", ".join(requirements))
    with tempfile.TemporaryDirectory(prefix="stepcoder-packages-") as path:
        try:
            described = client.containers.run(
                base, ["python3", "-c", DESCRIBE], remove=True, network_mode="none"
            )
            version, machine, site = json.loads(described)
            download(requirements, Path(path, "packages"), tuple(version), machine.split("-")[0])
            # The tools that some packages bring would be of no use: nothing can be executed.
            shutil.rmtree(Path(path, "packages", "bin"), ignore_errors=True)
            Path(path, "Dockerfile").write_text(
                f"FROM {base}\nCOPY packages {site}/\n"
                f"RUN python3 -m compileall -q --invalidation-mode unchecked-hash {site} || true\n"
            )
            client.images.build(path=path, tag=name, rm=True)
        except (DockerException, OSError, ValueError) as error:
            raise SetupError(
                f"the packages could not be added to the sandbox image: {error}"
            ) from error


def _can_bootstrap() -> bool:
    has_tool = shutil.which("debootstrap") or shutil.which("apt-get")
    return os.getuid() == 0 and bool(has_tool) and Path("/etc/debian_version").exists()


def _build_from_packages(client: DockerClient, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="stepcoder-image-") as folder:
        archive = Path(folder) / "root.tar"
        try:
            build = subprocess.run(
                ["sh", str(RECIPE / "build.sh"), str(archive)],
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SetupError(
                f"the sandbox image was not built within {BUILD_SECONDS} s; are Debian's packages "
                "reachable?"
            ) from error
        if build.returncode != 0:
            raise SetupError(f"the sandbox image could not be built: {build.stderr.strip()}")
        repository, _, tag = name.partition(":")
        try:
            with archive.open("rb") as data:
                # The stubs leave its result untyped; it is not needed.
                client.api.import_image_from_data(  # pyright: ignore[reportUnknownMemberType]
                    data, repository=repository, tag=tag
                )
        except APIError as error:
            raise SetupError(f"the engine refused the sandbox image: {error}") from error


def _build_from_registry(client: DockerClient, name: str) -> None:
    try:
        client.images.build(path=str(RECIPE), tag=name, rm=True, pull=True)
    except (APIError, BuildError) as error:
        raise SetupError(
            f"the sandbox image could not be built from the official Python image: {error}. "
            "Where no image registry is reachable: image_source: debian, as root on Debian"
        ) from error
