"""The order in which problems are visited, and which are left out for a while."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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


@dataclass(slots=True)
class Rest:
    """How long one problem is left out."""

    streak: int = 0
    """Visits in a row without anything to learn."""
    left: int = 0
    """Number of times that the problem is still to be left out."""


class Rests:
    """Leaves problems out of which nothing is to be learned: for 1, 2, 4, ... visits.

    Afterwards they are asked again, since the policy changes.

    Args:
        longest: most visits in a row; with 0 no problem rests.
    """

    def __init__(self, longest: int):
        self._longest = longest
        self._rests: dict[str, Rest] = {}
        self._left_out = 0

    def skip(self, key: str) -> bool:
        """Whether a problem rests; counts this visit as left out."""
        rest = self._rests.get(key)
        if rest is None or not rest.left:
            return False
        rest.left -= 1
        self._left_out += 1
        return True

    def report(self, key: str, idle: bool) -> None:
        """Take in whether a visit of a problem had nothing to teach."""
        if not self._longest or (not idle and key not in self._rests):
            return
        if not idle:
            del self._rests[key]
            return
        rest = self._rests.setdefault(key, Rest())
        rest.streak += 1
        rest.left = min(2 ** min(rest.streak - 1, 30), self._longest)

    def metrics(self, problems: int) -> dict[str, float]:
        """The share of the problems that rest, and the visits left out; none without rests."""
        if not self._longest:
            return {}
        resting = sum(rest.left > 0 for rest in self._rests.values())
        return {"resting_share": resting / problems, "visits_left_out": float(self._left_out)}

    def state_dict(self) -> dict[str, Any]:
        """State that JSON can hold."""
        rests = {key: asdict(rest) for key, rest in self._rests.items()}
        return {"rests": rests, "left_out": self._left_out}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._rests = {key: Rest(**saved) for key, saved in state["rests"].items()}
        self._left_out = state["left_out"]
