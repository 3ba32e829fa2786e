"""The runner as a plain process: resource limits and a system call filter, but no container."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from sandbox.backends.choose import logger
from sandbox.channel import Channel
from sandbox.config import SandboxConfig
from sandbox.errors import RunnerLost, SandboxError
from sandbox.runner import COMMAND

PACKAGE = Path(__file__).parents[1]
INTERPRETER_FLAGS = ("-s", "-P", "-B", "-X", "utf8")
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""All that a runner gets of it; a fixed hash seed makes verdicts repeatable."""


class ProcessRunner:
    """A runner process and its socket."""

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel):
        self.process = process
        self.channel = channel

    def end(self) -> None:
        """Kill it; its child dies with it."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


class ProcessBackend:
    """Runs programs as processes of this user: for machines without a container engine."""

    name: Literal["docker", "process"] = "process"

    def __init__(self, config: SandboxConfig):
        if not sys.platform.startswith("linux"):
            raise SandboxError("the process backend needs Linux: use the docker backend here")
        self.config = config
        self._said = False
        # Not a virtual environment's: programs get the standard library.
        self.python = config.python or getattr(sys, "_base_executable", sys.executable)

    def start(self, slot: int, run: str) -> ProcessRunner:
        """Start a runner; `slot` and `run` name it in the process list."""
        ours, theirs = socket.socketpair()
        told = json.dumps({"descriptor": theirs.fileno(), "first_uid": None})
        command = [self.python, *INTERPRETER_FLAGS, "-c", COMMAND, str(PACKAGE)]
        try:
            with theirs:
                process = subprocess.Popen(
                    [*command, told],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env={**ENVIRONMENT, "STEPCODER_SLOT": f"{run}/{slot}"},
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise SandboxError(f"cannot start {self.python}: {error}") from error
        runner = ProcessRunner(process, Channel(ours))
        try:
            hello = runner.channel.hello(time.monotonic() + self.config.start_seconds)
        except RunnerLost as error:
            runner.end()
            assert process.stderr is not None
            said = process.stderr.read().decode(errors="replace").strip().splitlines()
            raise SandboxError(
                f"the runner did not start with {self.python}: {said[-1] if said else error}"
            ) from error
        assert process.stderr is not None
        process.stderr.close()
        if self.config.coverage and hello.get("coverage") == "settrace":
            self._say_that_it_is_slow(str(hello.get("python")))
        return runner

    def _say_that_it_is_slow(self, version: str) -> None:
        if not self._said:
            self._said = True
            logger.warning(
                "Python %s has no sys.monitoring: coverage comes from sys.settrace, and programs "
                "run several times slower; let `python` name Python 3.12 or newer",
                version,
            )
