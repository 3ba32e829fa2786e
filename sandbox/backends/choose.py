"""What starts a runner, and which of the two kinds of isolation there is here."""

import logging
from dataclasses import dataclass
from typing import Literal, Protocol

from sandbox.channel import Channel
from sandbox.config import SandboxConfig
from sandbox.errors import SandboxError

logger = logging.getLogger("stepcoder.sandbox")


class Runner(Protocol):
    """A started runner: a channel to it, and the means to end it for certain."""

    channel: Channel

    def end(self) -> None:
        """Stop it and all it runs, and remove its traces; never raises."""


class Backend(Protocol):
    """One kind of isolation."""

    name: Literal["docker", "process"]

    def start(self, slot: int, run: str) -> Runner:
        """Start a runner; raises SandboxError if it cannot work, RunnerLost if it just did not."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend chosen for a configuration."""

    backend: Backend
    reason: str
    """Why this one, for a person."""


_choices: dict[str, Choice] = {}


def choose_backend(config: SandboxConfig) -> Choice:
    """Docker where an engine answers and the image is there or can be built; else process.

    Raises SandboxError where `config.backend` is "docker" and Docker cannot be had. Without
    isolation it says so, loudly, once per configuration.
    """
    key = config.model_dump_json()
    if key not in _choices:
        _choices[key] = _choose(config)
    return _choices[key]


def _choose(config: SandboxConfig) -> Choice:
    from sandbox.backends.process import ProcessBackend

    if config.backend == "process":
        choice = Choice(ProcessBackend(config), "the configuration asks for it")
    else:
        try:
            from sandbox.backends.docker import DockerBackend

            return Choice(DockerBackend(config), "a Docker engine answers and has the image")
        except (SandboxError, ImportError) as error:
            if config.backend == "docker":
                if isinstance(error, SandboxError):
                    raise
                raise SandboxError("the docker package is missing: pip install docker") from error
            choice = Choice(ProcessBackend(config), f"Docker cannot be used: {error}")
    logger.warning(
        "programs run WITHOUT ISOLATION, as processes of this user that can read its files: %s",
        choice.reason,
    )
    return choice
