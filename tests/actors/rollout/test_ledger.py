"""The ledger: every sample ends once, and an unaccounted sample ends the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.errors import RunFailed
from actors.rollout.ledger import GENERATED, JUDGED, Ledger


def judged(*ids: int) -> Ledger:
    ledger = Ledger()
    ledger.asked(ids)
    for sample in ids:
        ledger.reached(sample, GENERATED)
        ledger.reached(sample, JUDGED)
    return ledger


def test_a_step_closes_with_every_sample_trained_or_dropped() -> None:
    ledger = judged(1, 2, 3)
    counts = ledger.close([1, 3], {2: "infra_error"})
    assert counts == {
        "asked": 3, "generated": 3, "judged": 3, "trained": 2, "dropped": 1,
        "dropped/infra_error": 1,
    }  # fmt: skip
    ledger.check_empty()
    ledger.asked([4])
    ledger.reached(4, GENERATED)
    ledger.reached(4, JUDGED)
    ledger.close([4], {})
    assert ledger.totals["asked"] == 4
    assert ledger.totals["dropped"] == 1
    assert Ledger(ledger.totals).totals == ledger.totals


def test_totals_hold_a_zero_for_a_fate_that_never_occurred() -> None:
    ledger = judged(1)
    ledger.close([1], {})
    assert ledger.totals["dropped"] == 0


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (lambda ledger: ledger.asked([1]), "sample 1 is asked twice"),
        (lambda ledger: ledger.reached(1, GENERATED), "sample 1 is generated after .* judged"),
        (lambda ledger: ledger.reached(9, GENERATED), "sample 9 is generated after it was unknown"),
        (lambda ledger: ledger.close([1, 1], {}), "sample 1 is trained after it was unknown"),
        (lambda ledger: ledger.close([1], {1: "x"}), "sample 1 is dropped/x after"),
        (
            lambda ledger: ledger.close([1], {}),
            "1 samples are unaccounted for; sample 2 was judged",
        ),
        (lambda ledger: ledger.check_empty(), "2 samples are unaccounted for; sample 1 was judged"),
    ],
)
def test_an_inconsistent_record_ends_the_run(
    record: Callable[[Ledger], object], message: str
) -> None:
    with pytest.raises(RunFailed, match=message):
        record(judged(1, 2))


def test_a_sample_cannot_be_trained_before_it_is_judged() -> None:
    ledger = Ledger()
    ledger.asked([1])
    ledger.reached(1, GENERATED)
    with pytest.raises(RunFailed, match="sample 1 is trained after it was generated"):
        ledger.close([1], {})


def test_a_sample_ends_in_its_own_step() -> None:
    ledger = judged(1)
    ledger.asked([2])
    ledger.reached(2, GENERATED)
    ledger.reached(2, JUDGED)
    with pytest.raises(RunFailed, match="sample 2 is trained in a step that is not its own"):
        ledger.close([2], {})


def test_a_return_to_a_checkpoint_drops_open_samples_uncounted() -> None:
    ledger = judged(1)
    ledger.forget()
    ledger.check_empty()
    ledger.asked([1])
