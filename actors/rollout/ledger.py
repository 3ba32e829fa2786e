"""Ledger: follows every sample from its prompt to its gradient."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable

from actors.errors import RunFailed

ASKED, GENERATED, JUDGED, TRAINED = "asked", "generated", "judged", "trained"
_BEFORE = {GENERATED: ASKED, JUDGED: GENERATED}


class Ledger:
    """Follows each sample by its id, and ends the run when a sample is unaccounted for.

        asked -> generated -> judged -> trained
                                     -> dropped, with a cause

    A sample reaches every stage once. It is counted under each stage it reached and, when it ends,
    under `trained` or `dropped/<cause>`.
    """

    def __init__(self, totals: dict[str, int] | None = None) -> None:
        self._open: dict[int, str] = {}
        self._steps: deque[frozenset[int]] = deque()
        self._totals = Counter(totals or {})

    @property
    def totals(self) -> dict[str, int]:
        """Samples by stage reached, over the closed steps of the run."""
        return dict(self._totals)

    def asked(self, ids: Iterable[int]) -> None:
        """Open these samples, all of one step.

        Raises:
            RunFailed: one of them is open already.
        """
        step = frozenset(ids)
        self._steps.append(step)
        for sample in sorted(step):
            if sample in self._open:
                raise RunFailed(f"ledger: sample {sample} is asked twice")
            self._open[sample] = ASKED

    def asked_again(self, ids: Iterable[int]) -> None:
        """Open further samples of the newest step.

        Raises:
            RunFailed: one of them is open already.
        """
        newest = self._steps.pop()
        self.asked(ids)
        self._steps[-1] |= newest

    def reached(self, sample: int, stage: str) -> None:
        """Record that `sample` was `generated` or `judged`.

        Raises:
            RunFailed: the sample has reached the stage already, or missed the stage before it.
        """
        state = self._open.get(sample, "unknown")
        if state != _BEFORE[stage]:
            raise RunFailed(f"ledger: sample {sample} is {stage} after it was {state}")
        self._open[sample] = stage

    def close(self, trained: Iterable[int], dropped: dict[int, str]) -> dict[str, int]:
        """End the oldest open step: each of its samples was trained on, or dropped for a cause.

        Args:
            trained: ids of the samples trained on.
            dropped: causes by the ids of the samples dropped.

        Returns:
            The step's counts: `asked`, `generated`, `judged`, `trained`, `dropped`, and
            `dropped/<cause>`.

        Raises:
            RunFailed: a sample was never judged, ends twice or not at all, or belongs to another
                step.
        """
        step = self._steps.popleft()
        fates = [(sample, TRAINED) for sample in trained]
        fates += [(sample, f"dropped/{cause}") for sample, cause in dropped.items()]
        counts: Counter[str] = Counter({"dropped": len(dropped)})
        for sample, fate in fates:
            state = self._open.pop(sample, "unknown or ended")
            if sample not in step and state == JUDGED:
                raise RunFailed(f"ledger: sample {sample} is {fate} in a step that is not its own")
            if state != JUDGED:
                raise RunFailed(f"ledger: sample {sample} is {fate} after it was {state}")
            counts.update((ASKED, GENERATED, JUDGED, fate))
        self._check_ended(step & self._open.keys())
        self._totals.update(counts)
        return dict(counts)

    def forget(self) -> None:
        """Drop every open sample uncounted: the run returns to a checkpoint before it was asked."""
        self._open.clear()
        self._steps.clear()

    def check_empty(self) -> None:
        """Check that no sample is open, at a point where none may be under way.

        Raises:
            RunFailed: says how many are open, and names one of them.
        """
        self._check_ended(self._open.keys())

    def _check_ended(self, unaccounted: Collection[int]) -> None:
        if unaccounted:
            sample = min(unaccounted)
            raise RunFailed(
                f"ledger: {len(unaccounted)} samples are unaccounted for; sample {sample} was "
                f"{self._open[sample]}"
            )
