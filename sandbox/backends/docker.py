"""The runner as PID 1 of a container with nothing in it worth having and nothing writable."""

import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

from docker.errors import APIError, DockerException, NotFound
from docker.types import LogConfig, Mount, Ulimit

from sandbox.backends import docker_client as engine
from sandbox.backends import owner
from sandbox.backends.choose import logger
from sandbox.backends.docker_image import ensure_image
from sandbox.backends.process import ENVIRONMENT, INTERPRETER_FLAGS
from sandbox.channel import Channel
from sandbox.config import SandboxConfig
from sandbox.errors import RunnerLost, SandboxError
from sandbox.runner import COMMAND

INSIDE = "/run/stepcoder"
TASKS = 64
UIDS_PER_CONTAINER = 1 << 17


class DockerRunner:
    """A container and the socket of its runner."""

    def __init__(self, container: Any, channel: Channel):
        self.container = container
        self.channel = channel

    def end(self) -> None:
        """Close the socket, on which the runner exits; then remove the container for certain."""
        self.channel.close()
        remove(self.container)


def remove(container: Any) -> None:
    """Remove a container, running or not, being removed or gone."""
    try:
        container.remove(force=True)
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != 409:  # not: its removal is under way
            logger.warning("could not remove container %s: %s", container.name, error)
    except (DockerException, OSError) as error:
        logger.warning("could not remove container %s: %s", container.name, error)


class DockerBackend:
    """Starts hardened containers through the Docker engine."""

    name: Literal["docker", "process"] = "docker"

    def __init__(self, config: SandboxConfig):
        self.config = config
        self.client = engine.connect()
        self.image = ensure_image(config, self.client)

    def start(self, slot: int, run: str) -> DockerRunner:
        """Start a container and wait for its runner; the container connects to a socket of ours."""
        container, folder = None, None
        try:
            folder = _laid_out()
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(folder / "socket"))
                (folder / "socket").chmod(0o600 if os.getuid() == 0 else 0o666)
                listener.listen(1)
                token = secrets.token_hex(16)
                container = self._start_container(folder, slot, run, token)
                channel = self._accept(listener, container, token)
        except BaseException:
            if container is not None:
                remove(container)
            raise
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        return DockerRunner(container, channel)

    def _start_container(self, folder: Path, slot: int, run: str, token: str) -> Any:
        config = self.config
        first_uid = 1 << 20 | secrets.randbelow(1 << 13) * UIDS_PER_CONTAINER
        command = ["python3", *INTERPRETER_FLAGS, "-c", COMMAND, INSIDE]
        memory = config.container_memory_mib << 20
        try:
            container = self.client.containers.create(
                self.image,
                [*command, json.dumps({"socket": f"{INSIDE}/socket", "first_uid": first_uid})],
                name=f"stepcoder-{run}-{slot}-{secrets.token_hex(4)}",
                auto_remove=True,
                labels=owner.labels(run, slot),
                environment={**ENVIRONMENT, "STEPCODER_TOKEN": token},
                mounts=[Mount(INSIDE, str(folder), type="bind", read_only=True)],
                runtime=config.runtime,
                user="0:0",
                working_dir="/",
                hostname="sandbox",
                network_mode="none",
                ipc_mode="none",
                read_only=True,
                cap_drop=["ALL"],
                cap_add=["SETUID", "SETGID", "KILL"],
                security_opt=["no-new-privileges"],
                pids_limit=TASKS,
                mem_limit=memory,
                memswap_limit=memory,
                nano_cpus=int(config.container_cpus * 1e9),
                oom_score_adj=500,
                ulimits=[Ulimit(name="core", soft=0, hard=0)],
                log_config=LogConfig(type="none"),
            )
            try:
                container.start()
            except BaseException:
                remove(container)  # the engine removes by itself only what has run
                raise
            return container
        except APIError as error:
            reason = str(error.explanation or error)
            remedy = ": `docker system prune` frees some" if "no space left" in reason else ""
            raise SandboxError(
                f"the engine could not start a sandbox container: {reason}{remedy}"
            ) from error
        except (DockerException, OSError) as error:  # OSError: the engine did not answer
            raise RunnerLost(f"the engine did not start a sandbox container: {error}") from error

    def _accept(self, listener: socket.socket, container: Any, token: str) -> Channel:
        deadline = time.monotonic() + self.config.start_seconds
        listener.settimeout(0.5)
        while True:
            try:
                connection, _ = listener.accept()
                break
            except TimeoutError:
                if not _alive(container):
                    raise SandboxError(
                        f"the runner ended at once; has {self.image} Python 3.12 or newer?"
                    ) from None
                if time.monotonic() > deadline:
                    raise RunnerLost("the container did not start in time") from None
        channel = Channel(connection)
        if channel.hello(deadline).get("token") != token:
            channel.close()
            raise RunnerLost("something other than the runner answered")
        return channel


def _alive(container: Any) -> bool:
    try:
        container.reload()
    except NotFound:
        return False
    return container.status in ("created", "running")


def _laid_out() -> Path:
    """A new folder with the runner, readable by whatever user the engine maps root to."""
    folder = None
    try:
        folder = engine.runner_folder()
        target = folder / "runner"
        target.mkdir()
        for module in (Path(__file__).parents[1] / "runner").glob("*.py"):
            shutil.copyfile(module, target / module.name)
        if os.getuid() != 0:
            for path in (folder, target):
                path.chmod(0o755)
            for module in target.iterdir():
                module.chmod(0o644)
    except OSError as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise SandboxError(
            f"no runner can be laid out in {tempfile.gettempdir()} ({error.strerror}): "
            "free space there, or name another folder in TMPDIR"
        ) from error
    return folder
