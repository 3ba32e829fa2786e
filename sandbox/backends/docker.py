"""The Docker backend: the runner is PID 1 of a hardened container."""

import json
import logging
import os
import secrets
import shutil
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Mount, Ulimit

from sandbox.backends import owner
from sandbox.backends.base import ENVIRONMENT, INTERPRETER_FLAGS
from sandbox.backends.docker_client import connect
from sandbox.backends.docker_image import ensure_image
from sandbox.backends.packages import find_modules
from sandbox.backends.runner_folder import create_runner_folder
from sandbox.channel import Channel
from sandbox.config import SandboxConfig
from sandbox.errors import RunnerLost, SetupError
from sandbox.runner import COMMAND

logger = logging.getLogger(__name__)

MOUNT_POINT = "/run/stepcoder"
"""Where the container sees the runner's files and the host's socket, read-only."""
MAX_TASKS = 160
"""Processes and threads of one container, the runner's among them."""
UIDS_PER_CONTAINER = 1 << 17
"""Every run has a uid of its own; more than `SandboxConfig.recycle_after` can use up."""
ALIVE_CHECK_SECONDS = 0.5
"""How often the wait for a new runner looks whether its container still exists."""


class DockerRunner:
    """A container and the socket of its runner."""

    def __init__(self, container: Container, channel: Channel):
        self.container = container
        self.channel = channel

    def end(self) -> None:
        """Close the socket and remove the container, even one that no longer answers."""
        # The runner exits when its socket closes; removal by force covers a runner that hangs.
        self.channel.close()
        remove(self.container)


def remove(container: Container) -> None:
    """Remove a container, whether it runs, is being removed or is gone; logs failures."""
    try:
        container.remove(force=True)
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != 409:  # 409: its removal is in progress
            logger.warning("could not remove container %s: %s", container.name, error)
    except (DockerException, OSError) as error:
        logger.warning("could not remove container %s: %s", container.name, error)


class DockerBackend:
    """Starts hardened containers through the Docker engine."""

    name: Literal["docker", "process"] = "docker"

    def __init__(self, config: SandboxConfig):
        """Connect to the engine and make sure of the image.

        Raises:
            SetupError: no engine answers, or the image is missing and cannot be built.
        """
        self.config = config
        self.client = connect()
        self.image = ensure_image(config, self.client)
        self.modules = find_modules(
            config.requirements,
            self._run_python,
            f"not in {self.image}: add them to it, or leave out `image`, and they are installed",
        )

    def _run_python(self, arguments: list[str]) -> str:
        try:
            return self.client.containers.run(
                self.image, ["python3", *arguments], remove=True, network_mode="none"
            ).decode()
        except (DockerException, OSError) as error:
            raise SetupError(f"{self.image} does not run python3: {error}") from error

    def start(self, slot: int, run: str, preload: Sequence[str] = ()) -> DockerRunner:
        """Start a container and wait for its runner, which connects to a socket of the host.

        Raises:
            SetupError: the engine refuses the container, the runner cannot work in the image, or
                the disk is full.
            RunnerLost: the engine or the runner did not answer in time.
        """
        container, folder = None, None
        try:
            folder = create_runner_folder()
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(folder / "socket"))
                (folder / "socket").chmod(0o600 if os.getuid() == 0 else 0o666)
                listener.listen(1)
                # Any local user may connect to a socket of mode 666: the token tells our runner.
                token = secrets.token_hex(16)
                container = self._start_container(folder, slot, run, token, preload)
                channel = self._accept(listener, container, token)
        except BaseException:
            if container is not None:
                remove(container)
            raise
        finally:
            # The runner has loaded its modules and holds its connection: it needs no files now.
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        return DockerRunner(container, channel)

    def _start_container(
        self, folder: Path, slot: int, run: str, token: str, preload: Sequence[str]
    ) -> Container:
        config = self.config
        first_uid = 1 << 20 | secrets.randbelow(1 << 13) * UIDS_PER_CONTAINER
        command = ["python3", *INTERPRETER_FLAGS, "-c", COMMAND, MOUNT_POINT]
        memory_bytes = config.container_memory_mib << 20
        settings = {
            "socket": f"{MOUNT_POINT}/socket",
            "first_uid": first_uid,
            "preload": list(preload),
        }
        try:
            container = self.client.containers.create(
                self.image,
                [*command, json.dumps(settings)],
                name=f"stepcoder-{run}-{slot}-{secrets.token_hex(4)}",
                auto_remove=True,
                labels=owner.labels(run, slot),
                environment={**ENVIRONMENT, "STEPCODER_TOKEN": token},
                mounts=[Mount(MOUNT_POINT, str(folder), type="bind", read_only=True)],
                runtime=config.runtime,
                user="0:0",
                working_dir="/",
                hostname="sandbox",
                network_mode="none",
                ipc_mode="none",
                read_only=True,
                cap_drop=["ALL"],
                # For the runner, which gives each program a uid and kills what it leaves behind.
                cap_add=["SETUID", "SETGID", "KILL"],
                security_opt=["no-new-privileges"],
                pids_limit=MAX_TASKS,
                mem_limit=memory_bytes,
                memswap_limit=memory_bytes,
                nano_cpus=int(config.container_cpus * 1e9),
                oom_score_adj=500,
                ulimits=[Ulimit(name="core", soft=0, hard=0)],
                log_config=LogConfig(type="none"),
            )
            try:
                container.start()
            except BaseException:
                remove(container)  # `auto_remove` covers only containers that have run
                raise
            return container
        except APIError as error:
            reason = str(error.explanation or error)
            remedy = ": `docker system prune` frees some" if "no space left" in reason else ""
            raise SetupError(
                f"the engine could not start a sandbox container: {reason}{remedy}"
            ) from error
        except (DockerException, OSError) as error:  # OSError: the engine did not answer
            raise RunnerLost(f"the engine did not start a sandbox container: {error}") from error

    def _accept(self, listener: socket.socket, container: Container, token: str) -> Channel:
        """Wait for the runner's connection and its hello."""
        deadline = time.monotonic() + self.config.start_seconds
        # A container that ended never connects: look for that instead of waiting for the deadline.
        listener.settimeout(ALIVE_CHECK_SECONDS)
        while True:
            try:
                connection, _ = listener.accept()
                break
            except TimeoutError:
                if not _alive(container):
                    raise SetupError(
                        f"the runner ended at once; has {self.image} Python 3.12 or newer?"
                    ) from None
                if time.monotonic() > deadline:
                    raise RunnerLost("the container did not start in time") from None
        channel = Channel(connection)
        if channel.hello(deadline).get("token") != token:
            channel.close()
            raise RunnerLost("a process other than the runner connected to the runner's socket")
        return channel


def _alive(container: Container) -> bool:
    try:
        container.reload()
    except NotFound:
        return False
    return container.status in ("created", "running")
