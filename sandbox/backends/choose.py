"""The choice of a backend: which kind of isolation this machine offers."""

import logging
from dataclasses import dataclass

from sandbox.backends.base import Backend
from sandbox.backends.process import ProcessBackend
from sandbox.config import SandboxConfig
from sandbox.errors import PackagesError, SetupError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend chosen for a configuration."""

    backend: Backend
    reason: str
    """Why this backend, for a person."""


# One choice per configuration: every slot of a pool shares its engine client and its warning.
_choices: dict[str, Choice] = {}


def choose_backend(config: SandboxConfig) -> Choice:
    """Docker where an engine answers and the image exists or can be built; otherwise processes.

    The choice is made once per configuration. The process backend has no isolation, so choosing it
    logs a warning.

    Raises:
        SetupError: `config.backend` is "docker" and Docker cannot be used, or a package of
            `config.packages` cannot be had.
    """
    key = config.model_dump_json()
    if key not in _choices:
        _choices[key] = _choose(config)
    return _choices[key]


def _choose(config: SandboxConfig) -> Choice:
    if config.backend == "process":
        choice = Choice(ProcessBackend(config), "the configuration asks for it")
    else:
        try:
            # Imported here: the docker package takes longer to import than all of ours, and the
            # process backend works without it.
            from sandbox.backends.docker import DockerBackend

            return Choice(DockerBackend(config), "a Docker engine answers and has the image")
        except PackagesError:
            raise
        except (SetupError, ImportError) as error:
            if config.backend == "docker":
                if isinstance(error, SetupError):
                    raise
                raise SetupError("the docker package is missing: pip install docker") from error
            choice = Choice(ProcessBackend(config), f"Docker cannot be used: {error}")
    logger.warning(
        "programs run WITHOUT ISOLATION, as processes of this user that can read its files: %s",
        choice.reason,
    )
    return choice
