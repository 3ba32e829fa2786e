"""The order in which problems are visited."""

import random
from collections.abc import Sequence
from typing import Any


class EpochSampler:
    """Endless shuffled epochs over `range(count)`; every index once per epoch.

    With weights, an index comes as often as its weight is of the smallest one, on average over the
    epochs, and at least once in each.

    Epoch e of a seed has one order, whatever was drawn before, so three numbers are its whole
    state and a restored sampler goes on as the saved one would have.

    Example:
        >>> sampler = EpochSampler(count=3, seed=0)
        >>> sorted(sampler.take(3))
        [0, 1, 2]
    """

    def __init__(self, count: int, seed: int, weights: Sequence[float] | None = None):
        if count < 1:
            raise ValueError("there is nothing to sample from")
        weights = weights if weights is not None else [1.0] * count
        if len(weights) != count or min(weights) <= 0:
            raise ValueError(f"{count} weights above 0 are wanted")
        self._times = [weight / min(weights) for weight in weights]
        self._count = count
        self._seed = seed
        self._epoch = 0
        self._position = 0
        self._order = self._shuffled(self._seed, self._epoch)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return self._epoch

    def take(self, n: int) -> list[int]:
        """The next `n` indices, across the end of an epoch where need be."""
        taken: list[int] = []
        while len(taken) < n:
            part = self._order[self._position : self._position + n - len(taken)]
            taken += part
            self._position += len(part)
            if self._position == len(self._order):
                self._epoch, self._position = self._epoch + 1, 0
                self._order = self._shuffled(self._seed, self._epoch)
        return taken

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state."""
        return {"seed": self._seed, "epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; its seed replaces this sampler's."""
        seed, epoch, position = state["seed"], state["epoch"], state["position"]
        order = self._shuffled(seed, epoch)
        if epoch < 0 or not 0 <= position < len(order):
            raise ValueError(f"no epoch {epoch}, position {position} over {self._count} problems")
        self._seed, self._epoch, self._position = seed, epoch, position
        self._order = order

    def _shuffled(self, seed: int, epoch: int) -> list[int]:
        luck = random.Random(f"{seed}/{epoch}/weights")
        order: list[int] = []
        for index, times in enumerate(self._times):
            whole = int(times)
            order += [index] * (whole + (luck.random() < times - whole))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        return order
