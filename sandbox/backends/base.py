"""What every backend offers, and what all of them give a runner."""

from collections.abc import Sequence
from typing import Literal, Protocol

from sandbox.channel import Channel

INTERPRETER_FLAGS = ("-s", "-P", "-B", "-X", "utf8")
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    # A forked process has none of the threads that numpy's libraries would start.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""The runner's whole environment; a fixed hash seed makes verdicts repeatable."""


class Runner(Protocol):
    """A started runner: a channel to it, and the means to end it."""

    channel: Channel

    def end(self) -> None:
        """Stop the runner and every program it runs, and remove what it leaves; never raises."""


class Backend(Protocol):
    """One kind of isolation."""

    name: Literal["docker", "process"]
    modules: frozenset[str]
    """Top-level modules of `SandboxConfig.packages`, all of which are there."""

    def start(self, slot: int, run: str, preload: Sequence[str] = ()) -> Runner:
        """Start a runner for slot number `slot` of the run named `run`, some modules loaded.

        Raises:
            SetupError: no runner can work here; the message holds the remedy.
            RunnerLost: this runner did not start, but another attempt may succeed.
        """
        ...
