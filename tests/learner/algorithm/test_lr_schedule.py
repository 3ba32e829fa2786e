"""The learning rate by hand, for every kind."""

import pytest

from learner.algorithm.lr_schedule import lr_share


@pytest.mark.parametrize(
    ("kind", "middle", "end"),
    [("constant", 1.0, 1.0), ("cosine", 0.55, 0.1), ("linear", 0.55, 0.1)],
)
def test_the_learning_rate_warms_up_and_then_decays_by_its_kind(
    kind, middle: float, end: float
) -> None:
    def share(step: int) -> float:
        return lr_share(step, kind, warmup=10, steps=110, final_share=0.1)

    assert [share(step) for step in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1, 1])
    assert share(60) == pytest.approx(middle)
    assert share(110) == share(500) == pytest.approx(end)
    shares = [share(step) for step in range(10, 111)]
    assert shares == sorted(shares, reverse=True)


def test_cosine_and_linear_differ_between_their_ends() -> None:
    quarter = [lr_share(25, kind, 0, 100, 0.0) for kind in ("cosine", "linear")]
    assert quarter == pytest.approx([0.853553, 0.75])


def test_a_schedule_of_one_step_is_finite() -> None:
    assert [lr_share(step, "cosine", 0, 1, 0.0) for step in (0, 1)] == [1.0, 0.0]
