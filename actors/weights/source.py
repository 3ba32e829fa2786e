"""LearnerSource: the learner's weights as the stream that vLLM's senders read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource


class NamedWeights(Protocol):
    """The part of the learner that the broadcast reads."""

    def weight_shapes(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        """Name, dtype and full shape of every policy parameter, in stream order."""
        ...

    def named_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The full parameters in Hugging Face names; a collective under ZeRO-3."""
        ...


class LearnerSource(WeightSource):
    """The policy's weights, streamed once for each update."""

    def __init__(self, learner: NamedWeights) -> None:
        self._learner = learner
        self._stream: Iterator[tuple[str, torch.Tensor]] | None = None

    def metadata(self) -> list[ParamMeta]:
        """Name, dtype and full shape of every parameter, without gathering."""
        return [ParamMeta(*row) for row in self._learner.weight_shapes()]

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        self._stream = self._learner.named_weights()
        return self._stream

    def rewind(self) -> None:
        """Prepare for the next update."""
        self._stream = None

    def drain(self) -> None:
        """Read this update's stream to its end, begun or not.

        Under ZeRO-3 every parameter is a collective: the other ranks wait in it, also when the
        update has failed on this one.
        """
        for _ in self if self._stream is None else self._stream:
            pass
