"""The order in which problems are visited."""

import random
from collections.abc import Sequence
from typing import Any

from curriculum.errors import IncompatibleState


class EpochSampler:
    """Endless shuffled epochs over `range(count)`, each with every index at least once.

    With weights, an index comes as often as its weight is of the smallest one, on average over the
    epochs; without, exactly once in each.

    Epoch e of a seed has one order, whatever was drawn before. So three numbers are the whole
    state, and a restored sampler continues as the saved one would have.

    Args:
        count: number of indices, at least 1.
        seed: decides the order of every epoch.
        weights: one above 0 for each index; None weighs all alike.

    Raises:
        ValueError: no indices, or weights that do not fit.

    Example:
        >>> sampler = EpochSampler(count=3, seed=0)
        >>> sorted(sampler.take(3))
        [0, 1, 2]
    """

    def __init__(self, count: int, seed: int, weights: Sequence[float] | None = None):
        if count < 1:
            raise ValueError("there is nothing to sample")
        weights = weights if weights is not None else [1.0] * count
        if len(weights) != count or min(weights) <= 0:
            raise ValueError(f"expected {count} weights above 0, not {list(weights)}")
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
        """The next `n` indices, across the end of an epoch where necessary."""
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
        """State that JSON can hold."""
        return {"seed": self._seed, "epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state; its seed replaces this sampler's.

        Raises:
            IncompatibleState: no epoch of this sampler has such a position; nothing is changed.
        """
        seed, epoch, position = state["seed"], state["epoch"], state["position"]
        order = self._shuffled(seed, epoch)
        if epoch < 0 or not 0 <= position < len(order):
            raise IncompatibleState(
                f"no epoch {epoch}, position {position} over {self._count} problems"
            )
        self._seed, self._epoch, self._position = seed, epoch, position
        self._order = order

    def _shuffled(self, seed: int, epoch: int) -> list[int]:
        fractions = random.Random(f"{seed}/{epoch}/weights")
        order: list[int] = []
        for index, times in enumerate(self._times):
            whole = int(times)
            order += [index] * (whole + (fractions.random() < times - whole))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        return order
