"""The process backend: the runner as a plain process with limits and a system call filter."""

import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sandbox.backends.base import ENVIRONMENT, INTERPRETER_FLAGS
from sandbox.backends.packages import find_modules
from sandbox.channel import Channel
from sandbox.config import SandboxConfig
from sandbox.errors import RunnerLost, SetupError
from sandbox.runner import COMMAND

logger = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[1]


class ProcessRunner:
    """A runner process and its socket."""

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel):
        self.process = process
        self.channel = channel

    def end(self) -> None:
        """Kill the runner; the kernel kills its child with it (PR_SET_PDEATHSIG)."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


class ProcessBackend:
    """Runs programs as processes of this user: for machines without a container engine."""

    name: Literal["docker", "process"] = "process"

    def __init__(self, config: SandboxConfig):
        """Choose the interpreter.

        Raises:
            SetupError: this is not Linux.
        """
        if not sys.platform.startswith("linux"):
            raise SetupError("the process backend needs Linux: use the docker backend here")
        self.config = config
        self._slow_coverage_logged = False
        # Without packages not a virtual environment's: programs get the standard library only.
        own = sys.executable if config.requirements else getattr(sys, "_base_executable", None)
        self.python = config.python or own or sys.executable
        self.modules = find_modules(
            config.requirements,
            self._run_python,
            f"not installed for {self.python}, which runs programs without a container: "
            f"{self.python} -m pip install them, or use the docker backend",
        )

    def _run_python(self, arguments: list[str]) -> str:
        command = [self.python, *INTERPRETER_FLAGS, *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetupError(f"cannot run {self.python}: {error}") from error

    def start(self, slot: int, run: str, preload: Sequence[str] = ()) -> ProcessRunner:
        """Start a runner; `slot` and `run` are in its environment, for a person who looks for it.

        Raises:
            SetupError: the interpreter cannot be started, or the runner does not work in it.
        """
        ours, theirs = socket.socketpair()
        settings = json.dumps(
            {"descriptor": theirs.fileno(), "first_uid": None, "preload": list(preload)}
        )
        command = [self.python, *INTERPRETER_FLAGS, "-c", COMMAND, str(PACKAGE), settings]
        try:
            with theirs:
                process = subprocess.Popen(
                    command,
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
            raise SetupError(f"cannot start {self.python}: {error}") from error
        runner = ProcessRunner(process, Channel(ours))
        assert process.stderr is not None
        try:
            hello = runner.channel.hello(time.monotonic() + self.config.start_seconds)
        except RunnerLost as error:
            runner.end()
            stderr = process.stderr.read().decode(errors="replace").strip().splitlines()
            raise SetupError(
                f"the runner did not start with {self.python}: {stderr[-1] if stderr else error}"
            ) from error
        process.stderr.close()
        if self.config.coverage and hello.get("coverage") == "settrace":
            self._log_slow_coverage(str(hello.get("python")))
        return runner

    def _log_slow_coverage(self, version: str) -> None:
        if not self._slow_coverage_logged:
            self._slow_coverage_logged = True
            logger.warning(
                "Python %s has no sys.monitoring: coverage comes from sys.settrace, and programs "
                "run several times slower; set `python` to a Python 3.12 or newer",
                version,
            )
