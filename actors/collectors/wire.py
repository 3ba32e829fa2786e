"""An order on its way to a collector, which is sent each problem once.

A problem holds its tests, and a run asks it again and again: what an order says of it is a number.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from collections.abc import Collection, Mapping
from typing import Any

from actors.collectors.messages import Order
from curriculum.problem import Problem

_PROTOCOL = 5


class ProblemNumbers:
    """A number for each problem, the same for all collectors."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, Problem]] = {}
        """By identity, which no other problem has while it is held here: ids are unique within a
        data set only, and a problem may get another solution."""

    def of(self, problem: Problem) -> int:
        """The problem's number."""
        return self._known.setdefault(id(problem), (len(self._known), problem))[0]


class OrderPacker:
    """The driver's side, for one process of a collector."""

    def __init__(self, numbers: ProblemNumbers) -> None:
        """Pack for a process that has no problem yet."""
        self._numbers = numbers
        self._arrived: set[int] = set()

    def pack(self, order: Order) -> tuple[bytes, Collection[int]]:
        """The order as bytes, and the numbers of the problems in it that are not known to have
        arrived."""
        sent: dict[int, bytes] = {}

        def reduce(problem: Problem) -> tuple[Any, tuple[int]]:
            number = self._numbers.of(problem)
            if number not in self._arrived and number not in sent:
                sent[number] = pickle.dumps(problem, _PROTOCOL)
            return _problem, (number,)

        content = io.BytesIO()
        # Ray's own pickler calls back into Python for every object: it takes ten times as long.
        pickler = pickle.Pickler(content, _PROTOCOL)
        pickler.dispatch_table = copyreg.dispatch_table | {Problem: reduce}
        pickler.dump(order)
        return pickle.dumps((content.getvalue(), sent), _PROTOCOL), sent.keys()

    def arrived(self, numbers: Collection[int]) -> None:
        """Send these problems no more: the collector has read an order with them.

        Orders may overtake each other, so that one that was sent is not enough.
        """
        self._arrived.update(numbers)


class OrderReader:
    """The collector's side."""

    def __init__(self) -> None:
        self._problems: dict[int, bytes] = {}
        """Pickled, by number: as objects they would take several times the memory."""

    def read(self, packed: bytes) -> Order:
        """What `OrderPacker.pack` was given.

        Raises:
            KeyError: it has a problem that never arrived.
        """
        content, sent = pickle.loads(packed)
        self._problems.update(sent)
        return _Unpickler(content, self._problems).load()


class _Unpickler(pickle.Unpickler):
    """Puts problems in the place of their numbers."""

    def __init__(self, content: bytes, problems: Mapping[int, bytes]) -> None:
        super().__init__(io.BytesIO(content))
        self._problems = problems

    def find_class(self, module: str, name: str) -> Any:
        """`_problem` by its name, and whatever else an order consists of."""
        if (module, name) == (__name__, _problem.__name__):
            return lambda number: pickle.loads(self._problems[number])
        return super().find_class(module, name)


def _problem(number: int) -> Problem:
    """Stands in an order for a problem; only `OrderReader` reads it."""
    raise LookupError(f"problem {number} is read by OrderReader alone")
