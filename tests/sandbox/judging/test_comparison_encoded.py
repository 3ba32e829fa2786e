"""Values compare as in Python after they were encoded and decoded, whatever a program claims."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.judging.comparison import same_value
from sandbox.runner import values
from tests.sandbox.judging.test_comparison import sent


def test_a_program_cannot_make_decoding_numbers_slow():
    for text in (
        '{"\\u0000decimal": 1}',
        f'{{"\\u0000decimal": "{"9" * 5000}"}}',
        '{"\\u0000fraction": [1, 0]}',
        '{"\\u0000fraction": [true, 2]}',
        f'{{"\\u0000fraction": [1, {{"\\u0000int": "0x{"f" * 10**5}"}}]}}',
    ):
        with pytest.raises(ValueError, match="malformed tag"):
            values.loads_result(text)
    huge = values.loads_result('{"\\u0000decimal": "1e999999999999"}')
    for comparison in ("exact", "close"):
        assert not same_value([1.5, 1, 10**4000], [huge] * 3, comparison)


def test_claimed_sets_and_dicts_with_duplicates_do_not_pass():
    assert not same_value({1, 2, 3}, values.loads_result('{"\\u0000set": [1, 1, 1]}'))
    assert not same_value([1, 2, 3], values.loads_result('{"\\u0000set": [1, 2, 3, 3]}'))
    assert not same_value([0.5, 0.5], values.loads_result('{"\\u0000set": [0.5, 0.5]}'))
    assert not same_value({"1": 2}, values.loads_result('{"\\u0000dict": [[1, 3], ["1", 2]]}'))
    assert not same_value({(1,): 2}, values.loads_result('{"\\u0000dict": [[[1], 2], [[1], 2]]}'))


def test_claimed_sets_and_dicts_are_not_exactly_the_same_as_what_they_resemble():
    for expected, claim in [
        ({1, 2, 3}, '{"\\u0000set": [1, 1, 1]}'),
        ({1, 2, 3}, '{"\\u0000set": [1, 2, 3, 3]}'),
        ({1, (1,)}, '{"\\u0000set": [1, [1]]}'),
        ({(1,): 2}, '{"\\u0000dict": [[[1], 2]]}'),
        ({1: 2}, '{"\\u0000dict": [[1, 2], [1, 2]]}'),
        ([1, 2], '{"\\u0000set": [1, 2]}'),
        ([(1, 2)], '{"\\u0000dict": [[1, 2]]}'),
        ({}, '{"\\u0000opaque": "dict"}'),
    ]:
        assert not same_value(expected, values.loads_result(claim), "exact"), claim


def test_members_whose_hashes_collide_are_compared_quickly():
    members = ", ".join(str(k * (2**61 - 1)) for k in range(1, 100_000))
    claimed = values.loads_result(f'{{"\\u0000set": [{members}]}}')
    inside = values.loads_result(f'{{"\\u0000set": [{{"\\u0000set": [{members}]}}]}}')
    started = time.perf_counter()
    assert not same_value([0, 1], claimed)
    assert not same_value({0, 1}, claimed, "exact")
    assert not same_value({frozenset([0, 1])}, inside, "exact")
    assert not same_value([[0, 1]], inside)
    assert time.perf_counter() - started < 5, "minutes, if all members entered a set"


HUGE = st.integers(-9, 9).map(lambda n: 10**4300 * n + n)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), HUGE, st.text(), st.floats())
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.dictionaries(st.integers() | st.tuples(st.integers()), inner, max_size=3),
        st.frozensets(st.integers() | st.text(max_size=3) | st.tuples(st.integers()), max_size=3),
    ),
    max_leaves=12,
)


def holds_nan(value: object) -> bool:
    """Whether a value holds a number that is not equal to itself."""
    if isinstance(value, dict):
        return any(map(holds_nan, [*value, *value.values()]))
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(holds_nan, value))
    return isinstance(value, float) and value != value


@given(PLAIN)
def test_every_value_exactly_equals_itself_after_encoding_and_decoding(value):
    assert same_value(value, sent(value, exact=True), "exact") or holds_nan(value)


@given(PLAIN, PLAIN)
def test_two_values_are_exactly_the_same_only_if_python_says_so(expected, returned):
    assert same_value(expected, sent(returned, exact=True), "exact") == (expected == returned)


@given(PLAIN)
def test_every_value_equals_itself_after_encoding_and_decoding(value):
    assert same_value(value, sent(value))


@given(PLAIN)
def test_inputs_keep_value_and_type_when_sent(value):
    received = values.loads(values.dumps_exact(value))
    assert type(received) is type(value)
    assert same_value(value, received)
    assert received == value or "nan" in values.dumps_exact(value).lower()


STRICT = st.recursive(
    st.one_of(st.none(), st.integers(-3, 3), st.text("ab", max_size=2)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(STRICT, STRICT)
def test_plain_values_are_the_same_only_if_python_says_so(expected, returned):
    assert same_value(expected, sent(returned)) == (expected == returned)
    wrapped = isinstance(expected, list) and len(expected) == 1 and expected[0] == returned
    assert same_value(expected, sent(returned), "apps") == (expected == returned or wrapped)
