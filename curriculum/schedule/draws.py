"""Seeded draws of which the number drawn is the whole state."""

import random
from typing import Any


class Draws:
    """A sequence of random generators, one for each draw.

    Each draw has a generator of its own, made of seed and number. So two numbers are the whole
    state, and a restored sequence continues as the saved one would have.

    Example:
        >>> draws = Draws(seed=0, purpose="whole")
        >>> 0 <= draws.next().random() < 1
        True
    """

    def __init__(self, seed: int, purpose: str):
        """Draw for one purpose; sequences of the same seed and another purpose are unrelated."""
        self._seed = seed
        self._purpose = purpose
        self._drawn = 0

    def next(self) -> random.Random:
        """The generator of the next draw."""
        self._drawn += 1
        return random.Random(f"{self._seed}/{self._purpose}/{self._drawn}")

    def state_dict(self) -> dict[str, Any]:
        """State that JSON can hold."""
        return {"seed": self._seed, "drawn": self._drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state; its seed replaces this one's."""
        self._seed, self._drawn = state["seed"], state["drawn"]
