"""The FGO mask: cases marked by hand, its rules, and a slow reference implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.mask import cut_away_mask, execution_mask
from tests.learner import answer_cases
from tests.learner.answer_cases import ANSWERS
from tests.learner.mask_cases import CASES, Case, parse


@pytest.mark.parametrize("name", CASES)
def test_the_mask_is_as_marked_by_hand(name: str) -> None:
    case = parse(CASES[name])
    mask = execution_mask(case.token_lengths, case.completion_start, case.statements, case.source)
    assert list(zip(case.tokens, mask, strict=True)) == list(
        zip(case.tokens, case.expected, strict=True)
    )


@pytest.mark.parametrize("name", ANSWERS)
def test_the_mask_of_a_whole_answer_is_as_marked_by_hand(name: str) -> None:
    case = answer_cases.parse(name, ANSWERS[name])
    assert list(zip(case.tokens, case.mask, strict=True)) == list(
        zip(case.tokens, case.expected, strict=True)
    )


def test_without_statements_every_token_is_kept() -> None:
    assert execution_mask([3, 0, 4], 2, (), b"x (=:= 1\n") == [True, True, True]


def test_with_tampered_coverage_every_token_is_kept() -> None:
    statements = ((0, 5, True), (6, 11, False))
    assert execution_mask([5, 6], 0, statements, b"x = 1\ny = 2") == [True, False]
    assert execution_mask([5, 6], 0, statements, b"x = 1\ny = 2", tampered=True) == [True, True]


def test_tokens_after_the_program_are_kept() -> None:
    assert execution_mask([5, 3, 4], 0, ((0, 5, False),), b"x = 1") == [False, True, True]


def test_tokens_before_the_program_are_kept() -> None:
    """A fence of 4 bytes, then `x = 1` behind 3 given bytes, then prose."""
    statements, source = ((0, 2, True), (3, 8, False)), b"y\n\nx = 1"
    mask = execution_mask([4, 2, 3, 1, 5], 3, statements, source, completion_begin=4)
    assert mask == [True, False, False, True, True]
    straddling = execution_mask([6, 3, 6], 3, statements, source, completion_begin=4)
    assert straddling == [False, False, True]


def test_a_token_partly_outside_the_program_is_decided_by_its_bytes_inside() -> None:
    assert execution_mask([3, 9], 0, ((0, 5, False),), b"x = 1") == [False, False]


def test_tokens_of_a_split_character_are_decided_by_its_statement() -> None:
    source = "a\n'漢'".encode()
    assert execution_mask([1, 1, 2, 1, 2], 0, ((0, 1, True), (2, 7, False)), source) == [
        True,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("lengths", "start", "statements", "message"),
    [
        ([1], 9, ((0, 5, True),), "completion_start 9 is outside 0..5"),
        ([1], -1, ((0, 5, True),), "completion_start -1"),
        ([2, -1], 0, ((0, 5, True),), "negative: -1"),
        ([1], 0, ((0, 3, True), (2, 5, True)), "statement 1 at bytes 2..5 overlaps"),
        ([1], 0, ((3, 5, True), (0, 2, True)), "statement 1"),
        ([1], 0, ((0, 6, True),), "leaves the 5 bytes"),
        ([1], 0, ((2, 2, True),), "is empty"),
    ],
)
def test_inconsistent_input_is_refused(lengths, start, statements, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        execution_mask(lengths, start, statements, b"x = 1")


@st.composite
def programs(draw: st.DrawFn) -> Case:
    """Statements and gaps in any order, cut into tokens anywhere."""
    gaps = st.text("\n #;\téc", max_size=6)
    bodies = st.text("ab= (é\n", min_size=1, max_size=6)
    source, statements = draw(gaps).encode(), []
    for body, executed, gap in draw(st.lists(st.tuples(bodies, st.booleans(), gaps), max_size=6)):
        statements.append((len(source), len(source) + len(body.encode()), executed))
        source += body.encode() + gap.encode()
    start = draw(st.integers(0, len(source)))
    lengths, left = [], len(source) - start + draw(st.integers(-3, 3))
    while left > 0:
        lengths.append(draw(st.integers(0, min(5, left))))
        left -= max(lengths[-1], 1)
    return Case(source, start, tuple(statements), tuple(lengths), (), ())


def reference_mask(case: Case) -> list[bool]:
    """The rules once more, byte by byte and slowly."""

    def home(at: int) -> int | None:
        return next(
            (i for i, (start, end, _) in enumerate(case.statements) if start <= at < end), None
        )

    def belongs(at: int) -> int:
        before = [i for i, (_, end, _) in enumerate(case.statements) if end <= at]
        after = [i for i, (start, _, _) in enumerate(case.statements) if start > at]
        if not after:
            return before[-1]
        if before:
            between = case.source[case.statements[before[-1]][1] : case.statements[after[0]][0]]
            here = at - case.statements[before[-1]][1]
            if b"\n" in between and b"\n" not in between[: here + 1]:
                return before[-1]
        return after[0]

    mask, at = [], case.completion_start
    for length in case.token_lengths:
        span = [i for i in range(at, at + length) if i < len(case.source)]
        at += length
        solid = [i for i in span if chr(case.source[i]) not in " \t\n\r\x0b\x0c"]
        inside = [i for i in map(home, solid) if i is not None]
        if not span or not case.statements:
            mask.append(True)
        elif inside:
            mask.append(any(case.statements[i][2] for i in inside))
        elif solid:
            mask.append(any(case.statements[belongs(i)][2] for i in solid))
        else:
            last = home(span[-1])
            mask.append(case.statements[belongs(span[-1]) if last is None else last][2])
    return mask


@given(programs())
def test_the_mask_equals_a_slow_reference(case: Case) -> None:
    actual = execution_mask(case.token_lengths, case.completion_start, case.statements, case.source)
    assert actual == reference_mask(case)


@given(programs())
def test_nothing_is_masked_if_every_statement_ran(case: Case) -> None:
    statements = [(start, end, True) for start, end, _ in case.statements]
    assert all(execution_mask(case.token_lengths, case.completion_start, statements, case.source))


@given(programs())
def test_the_mask_of_a_token_follows_from_the_masks_of_its_bytes(case: Case) -> None:
    """One token per byte: each is kept exactly if every token that is only that byte would be."""
    ones = [1] * (len(case.source) - case.completion_start)
    fine = execution_mask(ones, case.completion_start, case.statements, case.source)
    coarse = execution_mask(case.token_lengths, case.completion_start, case.statements, case.source)
    at = 0
    for length, kept in zip(case.token_lengths, coarse, strict=True):
        part = fine[at : at + length]
        at += length
        if part and all(part):
            assert kept
        if part and not any(part):
            assert not kept


def test_text_behind_the_program_is_cut_away_except_for_what_ends_the_completion() -> None:
    """`x = 1`, a closing fence, a sentence, and the end of sequence, which has no bytes."""
    lengths = [2, 3, 4, 8, 0]
    assert cut_away_mask(lengths, 5, stopped=True) == [False, False, True, True, False]
    assert cut_away_mask(lengths[:-1], 5, stopped=True) == [False, False, True, False]
    assert cut_away_mask(lengths[:-1], 5, stopped=False) == [False, False, True, True]
    assert cut_away_mask([], 0, stopped=True) == []


@given(
    lengths=st.lists(st.integers(0, 9), max_size=12),
    end=st.integers(0, 60),
    stopped=st.booleans(),
)
def test_a_token_is_cut_away_exactly_if_all_its_bytes_stand_behind_the_program(
    lengths: list[int], end: int, stopped: bool
) -> None:
    owners = [token for token, length in enumerate(lengths) for _ in range(length)]
    for token, cut in enumerate(cut_away_mask(lengths, end, stopped=stopped)):
        mine = [offset for offset, owner in enumerate(owners) if owner == token]
        ends = stopped and token == len(lengths) - 1
        assert cut == (bool(mine) and min(mine) >= end and not ends)
