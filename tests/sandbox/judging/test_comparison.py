"""Outputs are compared by the rules of `comparison`, and by nothing looser."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.judging.comparison import difference, same_text, same_value
from sandbox.runner import values

SAME_VALUES = [
    ([1, 2], (1, 2)),
    ((1, [2]), [1, (2,)]),
    ([3], 3),
    ([[1, 2]], [1, 2]),
    (0.1 + 0.2, 0.3),
    ([1.0, [2.0000001]], [1, [2]]),
    (2, 2.0),
    (float("nan"), float("nan")),
    (float("inf"), float("inf")),
    (-0.0, 0),
    ([10**5000], [10**5000]),
    ({1, 2}, frozenset([2, 1])),
    ([1, 2], {2, 1}),
    ([[1, 2], [3, 4]], {(3, 4), (1, 2)}),
    ({"1": 2}, {1: 2}),
    ({1: [2.0]}, {1: [2.0000001]}),
    ({(1, 2): 3}, {(1, 2): 3}),
    (True, 1),
    (None, None),
    (b"x", b"x"),
    (0, -0.0),
    (-0.0, 0.0),
    ([[-0.0, float("nan")]], [[0, float("nan")]]),
    ([0.3, 7], {0.1 + 0.2, 7}),
    ({0.3, 2.5}, {0.1 + 0.2, 2.5}),
    ([float("nan"), 1.5], {float("nan"), 1.5}),
    ([0.5, "a"], {"a", 0.5}),
    (2**80, float(2**80)),
    ([["a"]], ["a"]),
    ([], []),
]
DIFFERENT_VALUES = [
    ([1, 2], [2, 1]),
    ([1, 2], [1, 2, 3]),
    ([1, 2], 1),
    ([], None),
    ([], 0),
    ([None], []),
    (0, None),
    (None, 0),
    (None, []),
    (False, None),
    ("", None),
    ("1", 1),
    (1, "1"),
    ("ab", ["a", "b"]),
    (["a", "b"], "ab"),
    (10**18 + 1, 1e18),
    (1, 1.0000001),
    (0.5, 0.51),
    (1.0, float("nan")),
    (float("nan"), 1.0),
    (float("inf"), -math.inf),
    (float("inf"), 10**400),
    (0.5, "0.5"),
    ({1, 2}, {1, 2, 3}),
    ({1, 2}, [1, 2]),
    ([1, 1, 2], {1, 2}),
    ([1, 2, 2], {1, 2, 3}),
    ({1: 2}, {1: 3}),
    ({1: 2}, [1]),
    ({"a": 1}, {"a": 1, "b": 2}),
    ({}, []),
    ([{}], []),
    (b"x", "x"),
    (2**80 + 1, float(2**80)),
    ([0.3, 7.0], {0.1 + 0.2, 8}),
    ([0.5, "a"], {0.5, "b"}),
    ([0.5, 0.7], {0.5, None}),
    ([0.5, 0.5], {0.5}),
    ([0.5, float("nan")], {0.5, 1}),
    ([1, 2], [[1, 2]]),
    (3, [3]),
    ([[3]], 3),
]


def sent(value):
    """The value as the host decodes it after a program returned it."""
    return values.loads_result(values.dumps_result(value))


@pytest.mark.parametrize(("expected", "returned"), SAME_VALUES)
def test_same_values(expected, returned):
    assert same_value(expected, sent(returned))


@pytest.mark.parametrize(("expected", "returned"), DIFFERENT_VALUES)
def test_different_values(expected, returned):
    assert not same_value(expected, sent(returned))


def test_claimed_sets_and_dicts_with_duplicates_do_not_pass():
    assert not same_value({1, 2, 3}, values.loads_result('{"\\u0000set": [1, 1, 1]}'))
    assert not same_value([1, 2, 3], values.loads_result('{"\\u0000set": [1, 2, 3, 3]}'))
    assert not same_value([0.5, 0.5], values.loads_result('{"\\u0000set": [0.5, 0.5]}'))
    assert not same_value({"1": 2}, values.loads_result('{"\\u0000dict": [[1, 3], ["1", 2]]}'))
    assert not same_value({(1,): 2}, values.loads_result('{"\\u0000dict": [[[1], 2], [[1], 2]]}'))


def test_members_whose_hashes_collide_are_compared_quickly():
    members = ", ".join(str(k * (2**61 - 1)) for k in range(1, 100_000))
    claimed = values.loads_result(f'{{"\\u0000set": [{members}]}}')
    started = time.perf_counter()
    assert not same_value([0, 1], claimed)
    assert time.perf_counter() - started < 5, "minutes, if all members entered a set"


SAME_TEXTS = [
    ("1 2\n3\n", "1 2\n3"),
    ("1 2", " 1  2 \n\n"),
    ("a\r\nb", "a\nb\n"),
    ("\n\nx\n", "x"),
    ("0.3333333333", "0.333333"),
    ("2.50", "2.5"),
    ("1e3", "1000"),
    ("2", "2.0"),
    ("", "\n \n"),
    ("0", "-0.0"),
    ("0", "-0"),
    ("-0", "0"),
    ("-0.0", "0"),
    ("0.00", "-0.0"),
    ("nan", "NaN"),
    ("-nan", "nan"),
    ("inf", "Infinity"),
    ("9" * 5000, "9" * 5000),
]
DIFFERENT_TEXTS = [
    ("1 2\n3", "1 2 3"),
    ("1\n\n2", "1\n2"),
    ("12", "1 2"),
    ("10", "0010"),
    ("0010", "10"),
    ("5", "5.1"),
    ("1000000007", "1000000000.0"),
    ("1000000007", "1e9"),
    ("1.5", "1.6"),
    ("1.5", "nan"),
    ("nan", "1.5"),
    ("Yes", "yes"),
    ("x", ""),
    ("", "x"),
    ("1.5", "1.5x"),
    ("inf", "-inf"),
    ("nan", "inf"),
    ("0", "-0.1"),
    ("0", "00"),
    ("1", "-1.0"),
    ("9" * 5000, "9" * 4999 + "8"),
    ("1.5", "1_5e-1"),
    ("1.5", "１.5"),
    ("1.5", "1." + "5" * 500),
]


@pytest.mark.parametrize(("expected", "printed"), SAME_TEXTS)
def test_same_texts(expected, printed):
    assert same_text(expected, printed)


@pytest.mark.parametrize(("expected", "printed"), DIFFERENT_TEXTS)
def test_different_texts(expected, printed):
    assert not same_text(expected, printed)


def test_differences_are_short():
    assert difference("a\nb", "a\nc") == "line 2: expected 'b', got 'c'"
    assert difference("a\nb", "a") == "expected 2 lines, got 1"
    assert difference(1, [2]) == "expected 1, got [2]"
    assert len(difference("x" * 10**6, "y" * 10**6)) < 400
    assert difference(10**5000, 1) == "expected a int too large to show, got 1"


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
    wrapped = isinstance(expected, list) and len(expected) == 1 and expected[0] == returned
    assert same_value(expected, sent(returned)) == (expected == returned or wrapped)


TOKENS = st.text("abc01.", min_size=1, max_size=4).filter(lambda token: token[-1:] != ".")


@given(st.lists(st.lists(TOKENS, min_size=1, max_size=3), max_size=4), st.data())
def test_texts_without_numbers_are_the_same_only_if_their_tokens_are(lines, data):
    expected = "\n".join(" ".join(line) for line in lines)
    flat = [(i, j) for i, line in enumerate(lines) for j in range(len(line))]
    if not flat:
        assert same_text(expected, "")
        return
    i, j = data.draw(st.sampled_from(flat))
    changed = [list(line) for line in lines]
    changed[i][j] += "x"
    assert not same_text(expected, "\n".join(" ".join(line) for line in changed))
    assert same_text(expected, "\n".join("  ".join(line) + "  " for line in lines) + "\n")
