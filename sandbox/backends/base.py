"""What every backend offers, and what all of them give a runner."""

from typing import Literal, Protocol

from sandbox.channel import Channel

INTERPRETER_FLAGS = ("-s", "-P", "-B", "-X", "utf8")
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""The runner's whole environment; a fixed hash seed makes verdicts repeatable."""


class Runner(Protocol):
    """A started runner: a channel to it, and the means to end it."""

    channel: Channel

    def end(self) -> None:
        """Stop the runner and every program it runs, and remove what it leaves; never raises."""


class Backend(Protocol):
    """One kind of isolation."""

    name: Literal["docker", "process"]

    def start(self, slot: int, run: str) -> Runner:
        """Start a runner for slot number `slot` of the run named `run`.

        Raises:
            SetupError: no runner can work here; the message holds the remedy.
            RunnerLost: this runner did not start, but another attempt may succeed.
        """
        ...
