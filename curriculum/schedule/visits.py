"""The visits of a schedule: every sampled task, from when it is sampled until it is reported on."""

from typing import Any, Literal, NamedTuple

from curriculum.subtask import Subtask

Outcome = Literal["counted", "stale", "duplicate", "unjudged"]
"""What an observation came to: it counted; it says nothing about the problem's present stage; its
visit was reported on before; or none of its programs could be judged."""

_METRICS: dict[Outcome, str] = {
    "counted": "observations",
    "stale": "stale_observations",
    "duplicate": "duplicate_observations",
    "unjudged": "unjudged_observations",
}


class Visit(NamedTuple):
    """One task that was sampled."""

    problem_id: str
    stage: int
    moves: int
    """`StageProgress.moves` when it was sampled; tells apart two stays at the same stage."""


class VisitLog:
    """Numbers the visits, keeps those in flight, and counts what the observations came to.

    A visit is in flight from `open` to `close`; a problem may have several at a time.
    """

    def __init__(self) -> None:
        self._in_flight: dict[int, Visit] = {}
        self._opened = 0
        self._counts: dict[Outcome, int] = dict.fromkeys(_METRICS, 0)

    def open(self, visit: Visit) -> int:
        """Put a visit in flight; returns its number, from 0."""
        number = self._opened
        self._in_flight[number] = visit
        self._opened += 1
        return number

    def close(self, task: Subtask) -> Visit | None:
        """Take a task's visit out of flight; None, and counted, where that happened before.

        Raises:
            ValueError: the task is not a visit of this log.
        """
        visit = self._in_flight.get(task.visit)
        if visit is None and 0 <= task.visit < self._opened:
            self.count("duplicate")
            return None
        if visit is None or visit[:2] != (task.problem.id, task.stage):
            raise ValueError(
                f"problem {task.problem.id!r} was not asked at stage {task.stage} as visit "
                f"{task.visit} of this curriculum"
            )
        del self._in_flight[task.visit]
        return visit

    def count(self, outcome: Outcome) -> None:
        """Count one observation."""
        self._counts[outcome] += 1

    def metrics(self) -> dict[str, float]:
        """Visits in flight now, and observations by outcome since the beginning."""
        counts = {_METRICS[outcome]: float(count) for outcome, count in self._counts.items()}
        return {"in_flight": float(len(self._in_flight))} | counts

    def state_dict(self) -> dict[str, Any]:
        """State that JSON can hold."""
        return {
            "opened": self._opened,
            "in_flight": {str(number): list(visit) for number, visit in self._in_flight.items()},
            "observations": dict(self._counts),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        in_flight = {int(number): Visit(*visit) for number, visit in state["in_flight"].items()}
        counts: dict[Outcome, int] = {name: state["observations"][name] for name in _METRICS}
        self._opened, self._in_flight, self._counts = state["opened"], in_flight, counts
