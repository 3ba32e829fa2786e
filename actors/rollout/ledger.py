"""Ledger: what became of every sample, from its prompt to its gradient."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable

from actors.errors import RunFailed

ASKED, GENERATED, JUDGED, TRAINED = "asked", "generated", "judged", "trained"
_BEFORE = {GENERATED: ASKED, JUDGED: GENERATED}


class Ledger:
    """Follows each sample by its id; each takes every step once, and the step's books must close.

        asked -> generated -> judged -> trained
                                     -> dropped, with a cause

    Every sample is counted under each stage it reached, and one that ended under `trained` or
    `dropped/<cause>`.
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
        """These samples, all of one step, were asked for.

        Raises:
            RunFailed: one of them is known already.
        """
        step = frozenset(ids)
        self._steps.append(step)
        for sample in sorted(step):
            if sample in self._open:
                raise RunFailed(f"ledger: sample {sample} is asked twice")
            self._open[sample] = ASKED

    def reached(self, sample: int, stage: str) -> None:
        """`sample` was `generated` or `judged`.

        Raises:
            RunFailed: it was so before, or missed the stage before it.
        """
        known = self._open.get(sample, "unknown")
        if known != _BEFORE[stage]:
            raise RunFailed(f"ledger: sample {sample} is {stage} after it was {known}")
        self._open[sample] = stage

    def close(self, trained: Iterable[int], dropped: dict[int, str]) -> dict[str, int]:
        """End the eldest step: each of its samples was trained on, or dropped for a cause.

        Returns:
            The step's counts: `asked`, `generated`, `judged`, `trained`, `dropped`, and
            `dropped/<cause>`.

        Raises:
            RunFailed: a sample was never judged, ends twice or not at all, or is not of this step.
        """
        step = self._steps.popleft()
        fates = [(sample, TRAINED) for sample in trained]
        fates += [(sample, f"dropped/{cause}") for sample, cause in dropped.items()]
        counts: Counter[str] = Counter({"dropped": len(dropped)})
        for sample, fate in fates:
            known = self._open.pop(sample, "unknown or ended")
            if sample not in step and known == JUDGED:
                raise RunFailed(f"ledger: sample {sample} is {fate} in a step that is not its own")
            if known != JUDGED:
                raise RunFailed(f"ledger: sample {sample} is {fate} after it was {known}")
            counts.update((ASKED, GENERATED, JUDGED, fate))
        self._check_ended(step & self._open.keys())
        self._totals.update(counts)
        return dict(counts)

    def forget(self) -> None:
        """Samples under way will not be trained on: the run went back to before they were asked."""
        self._open.clear()
        self._steps.clear()

    def check_empty(self) -> None:
        """No sample may be left open where none is under way.

        Raises:
            RunFailed: names how many are, and one of them.
        """
        self._check_ended(self._open.keys())

    def _check_ended(self, left: Collection[int]) -> None:
        if left:
            sample = min(left)
            raise RunFailed(
                f"ledger: {len(left)} samples have no end; sample {sample} was {self._open[sample]}"
            )
