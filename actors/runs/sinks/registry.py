"""Every sink by its name, and the library that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec

from actors.runs.sinks.base import Sink, SinkRun
from actors.runs.sinks.delivery import Delivery

_SINKS = {
    "tensorboard": ("TensorBoardSink", "tensorboard", "tensorboard"),
    "wandb": ("WandbSink", "wandb", "wandb"),
    "trackio": ("TrackioSink", "trackio", "trackio"),
    "mlflow": ("MlflowSink", "mlflow", "mlflow-skinny"),
}
"""Class, module of the library, and its name for pip, by sink."""


def missing_libraries(names: Sequence[str]) -> dict[str, str]:
    """The sinks whose library is not installed, each with what pip calls it."""
    return {name: _SINKS[name][2] for name in names if find_spec(_SINKS[name][1]) is None}


def open_sinks(names: Sequence[str], run: SinkRun) -> list[Delivery]:
    """A delivery to each sink; its library is imported, and the sink opened, in its thread."""
    return [Delivery(name, _opener(name, run)) for name in names]


def _opener(name: str, run: SinkRun) -> Callable[[], Sink]:
    def opened() -> Sink:
        return getattr(import_module(f"actors.runs.sinks.{name}"), _SINKS[name][0])(run)

    return opened
