"""The sandbox image: tagged with a digest of its recipe, built when missing."""

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, BuildError, ImageNotFound

from sandbox.backends.docker_client import connect
from sandbox.config import DEFAULT_IMAGE, SandboxConfig
from sandbox.errors import SetupError

logger = logging.getLogger(__name__)

RECIPE = Path(__file__).parents[1] / "image"
BUILD_SECONDS = 900


def image_name(config: SandboxConfig) -> str:
    """The image's full name.

    The default image's tag is a digest of its recipe, so that a changed recipe builds a new image.
    """
    if config.image != DEFAULT_IMAGE:
        return config.image
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
            _build(client, name, config)
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
