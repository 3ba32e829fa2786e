"""Sequences end to end in a row: targets, positions, shared prompts."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.models.batch import BrokenGradient, token_batch

CPU = torch.device("cpu")


def test_targets_and_the_states_that_predict_them() -> None:
    batch = token_batch([[5, 6, 7, 8], [1, 2], [3, 4, 9]], [2, 2, 1], CPU)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 1, 2, 3, 4, 9]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 0, 1, 0, 1, 2]]
    assert batch.bounds.tolist() == [0, 4, 6, 9]
    assert batch.longest == 4
    assert batch.targets.tolist() == [7, 8, 4, 9]
    assert batch.index.tolist() == [1, 2, 6, 7]
    assert batch.counts == (2, 0, 2)
    assert batch.index.dtype == batch.position_ids.dtype == torch.long
    assert batch.bounds.dtype == torch.int32


def test_an_empty_batch_holds_one_token_and_no_target() -> None:
    batch = token_batch([], [], CPU)
    assert batch.input_ids.shape == batch.position_ids.shape == (1, 1)
    assert batch.bounds.tolist() == [0, 1]
    assert batch.targets.shape == batch.index.shape == (0,)


def test_sequences_of_a_group_share_their_prompt() -> None:
    sequences = [[5, 6, 7, 8], [5, 6, 9], [5, 6], [3, 4]]
    batch = token_batch(sequences, [2, 2, 2, 1], CPU, [7, 7, 7, 4])
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 9, 3, 4]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 2, 0, 1]]
    assert batch.bounds.tolist() == [0, 4, 5, 5, 7]
    assert batch.keys is not None
    assert batch.keys.tolist() == [0, 1, 2, 3, 0, 1, 4, 0, 1, 5, 6]
    assert batch.key_bounds.tolist() == [0, 4, 7, 9, 11]
    assert (batch.longest, batch.longest_keys) == (4, 4)
    assert batch.targets.tolist() == [7, 8, 9, 4]
    assert batch.index.tolist() == [1, 2, 1, 5]
    assert batch.counts == (2, 1, 0, 1)
    assert batch.members == (3, 1)


@given(
    groups=st.lists(
        st.tuples(st.integers(1, 4), st.lists(st.integers(0, 5), min_size=1, max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_a_sequence_attends_to_its_own_tokens(groups: list[tuple[int, list[int]]]) -> None:
    """The keys of each are its whole token ids in order, and its queries the last of them."""
    sequences, firsts, numbers = [], [], []
    for number, (prompt, responses) in enumerate(groups):
        for at, response in enumerate(responses):
            own = [100 * number + 10 * at + token for token in range(response)]
            sequences.append([1000 + number] * prompt + own)
            firsts.append(prompt)
            numbers.append(number)
    batch = token_batch(sequences, firsts, CPU, numbers)
    row, positions = batch.input_ids[0], batch.position_ids[0]
    keys = torch.arange(len(row)) if batch.keys is None else batch.keys
    for at, ids in enumerate(sequences):
        seen = keys[batch.key_bounds[at] : batch.key_bounds[at + 1]]
        assert row[seen].tolist() == ids
        assert positions[seen].tolist() == list(range(len(ids)))
        queries = torch.arange(int(batch.bounds[at]), int(batch.bounds[at + 1]))
        assert seen.tolist()[len(ids) - len(queries) :] == queries.tolist()
    assert batch.targets.tolist() == [
        token for ids, first in zip(sequences, firsts, strict=True) for token in ids[first:]
    ]


def test_flags_are_told_of_the_sequences_that_they_are_on() -> None:
    sequences = [[1, 2, 3], [1, 2, 4, 5], [6, 7], [8, 9]]
    batch = token_batch(sequences, [2, 2, 1, 1], CPU, [0, 0, 1, 2])
    assert batch.input_ids[0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert batch.targets.tolist() == [3, 4, 5, 7, 9]

    def found(*tokens: int, targets: tuple[int, ...] = ()) -> list[bool]:
        flags = [
            torch.isin(of, torch.tensor(ids, dtype=torch.long))
            for of, ids in ((batch.input_ids[0], tokens), (batch.targets, targets))
        ]
        return batch.sequences_with(BrokenGradient(*flags))

    assert found() == [False] * 4
    assert found(3) == [True, True, False, False], "attention to the prompt reaches the first"
    assert found(1, 3, 5) == [False, True, False, False], "its own flag says whose the prompt's is"
    assert found(2) == [True, True, False, False]
    assert found(6) == [False, False, True, False]
    assert found(8, 9, 4) == [False, True, False, True]
    assert found(1, 2, 3, targets=(3,)) == [True, False, False, False]
    assert found(1, 2, 3, 8, targets=(4,)) == [False, True, False, True]
    assert batch.sequences_with(BrokenGradient()) == [False] * 4
