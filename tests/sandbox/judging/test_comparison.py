"""Outputs are compared by the rules of `comparison`, and by nothing looser."""

import math
import time
from collections import Counter, OrderedDict, UserDict, UserString, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.judging.comparison import difference, same_text, same_value
from sandbox.runner import values

Point = namedtuple("Point", "x y")


@dataclass(frozen=True)
class Pair:
    """A data class equals its own kind only."""

    x: int
    y: int


class Rank(IntEnum):
    """An integer."""

    low = 1


class Name(StrEnum):
    """A text."""

    low = "low"


class Colour(Enum):
    """Neither."""

    red = 1


SAME_VALUES = [
    ([1, 2], (1, 2)),
    ((1, [2]), [1, (2,)]),
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
    ([], []),
    ([[1, 2], [3]], {frozenset([2, 1]), frozenset([3])}),
    ({frozenset([1, 2])}, {frozenset([2, 1])}),
    (1j, 1j + 1e-9),
    (2 + 0j, 2),
    (0.1, Decimal("0.1")),
    (2, Decimal("2.00")),
    (0.5, Fraction(1, 2)),
    (3, Fraction(3)),
    ([0.25, 0.5], {Fraction(1, 4), Decimal("0.5")}),
    ([1, 2], deque([1, 2])),
    ([0, 1, 2], range(3)),
    ([1, 2], {1: 0, 2: 0}.keys()),
    ({"a": 1}, UserDict(a=1)),
    ({"a": 1}, MappingProxyType({"a": 1})),
    ("ab", UserString("ab")),
    ([1, 2], Point(1, 2)),
    (math.inf, Decimal("Infinity")),
    (math.nan, Decimal("sNaN")),
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
    ([3], 3),
    ([[1, 2]], [1, 2]),
    ([["a"]], ["a"]),
    ({frozenset([1, 2])}, {frozenset([1, 3])}),
    ([[1, 2]], {frozenset([1, 2, 3])}),
    (1j, 1),
    (1, Decimal("1.0000001")),
    (0.5, Fraction(1, 3)),
    (math.inf, Fraction(10**400, 3)),
    (math.inf, Decimal("1e400")),
    ("0.1", Decimal("0.1")),
    ([1, 2], (n for n in (1, 2))),
    ([1, 2], Pair(1, 2)),
    ({"x": 1, "y": 2}, Pair(1, 2)),
]
EXACTLY_THE_SAME = [
    ((1, 1), (1, 1)),
    ([1, [2]], [1, [2]]),
    (True, 1),
    (1, True),
    (1, 1.0),
    (2.0, 2),
    (-0.0, 0),
    (0.5, Fraction(1, 2)),
    (0.5, Decimal("0.5")),
    (1, Decimal("1.0")),
    (3, 3 + 0j),
    ({1, 2}, frozenset([2, 1])),
    (frozenset([1]), {1}),
    ({1: "a", 2: (1,)}, {2: (1,), 1: "a"}),
    ({1: "a"}, {True: "a"}),
    ({(1, 2): 3}, {(1, 2): 3}),
    ({"a": 1}, Counter("a")),
    ({"a": 1}, OrderedDict(a=1)),
    ({"a": 1}, UserDict(a=1)),
    ({1, 2}, {1: 0, 2: 0}.keys()),
    ({(1, 0)}, {1: 0}.items()),
    ((1, 2), Point(1, 2)),
    (1, Rank.low),
    ("low", Name.low),
    ("ab", UserString("ab")),
    (b"x", bytearray(b"x")),
    ({frozenset([1, 2])}, {frozenset([2, 1])}),
    ({(frozenset([1]), "a")}, {(frozenset([1]), "a")}),
    ({frozenset([1]): [{2}]}, {frozenset([1]): [{2}]}),
    ({}, {}),
    (set(), set()),
    ([10**5000], [10**5000]),
]
NOT_EXACTLY_THE_SAME = [
    ((1, 1), [1, 1]),
    ([1, 1], (1, 1)),
    ([(1, 2)], [[1, 2]]),
    ([7], 7),
    (7, [7]),
    ([[]], []),
    (0.3, 0.1 + 0.2),
    (0.1, Decimal("0.1")),
    (math.nan, math.nan),
    ([1, 2], {1, 2}),
    ({1, 2}, [1, 2]),
    ({1, 2}, {1, 3}),
    ({"1": 2}, {1: 2}),
    ({1: 2}, {1: 3}),
    ({(1, 2)}, {(1, 3)}),
    ({frozenset([1, 2])}, {frozenset([1, 3])}),
    ({frozenset([1])}, {frozenset([1, 2, 3])}),
    ([1, 2], deque([1, 2])),
    ([0, 1], range(2)),
    ([1, 2], {1: 0, 2: 0}.keys()),
    ([1, 2], (n for n in (1, 2))),
    ([1, 2], map(int, "12")),
    ((1, 2), Pair(1, 2)),
    (1, Colour.red),
    ("red", Colour.red),
    (b"x", "x"),
    (None, 0),
    ("1", 1),
]


def sent(value, exact=False):
    """The value as the host decodes it after a program returned it."""
    return values.loads_result(values.dumps_result(value, exact))


@pytest.mark.parametrize(("expected", "returned"), SAME_VALUES)
def test_same_values(expected, returned):
    assert same_value(expected, sent(returned))


@pytest.mark.parametrize(("expected", "returned"), DIFFERENT_VALUES)
def test_different_values(expected, returned):
    assert not same_value(expected, sent(returned))


@pytest.mark.parametrize(("expected", "returned"), EXACTLY_THE_SAME)
def test_exactly_the_same_values(expected, returned):
    assert expected == returned
    assert same_value(expected, sent(returned, exact=True), "exact")


@pytest.mark.parametrize(("expected", "returned"), NOT_EXACTLY_THE_SAME)
def test_values_that_are_not_exactly_the_same(expected, returned):
    assert expected != returned
    assert not same_value(expected, sent(returned, exact=True), "exact")


@pytest.mark.parametrize("exact", [False, True])
def test_numpys_scalars_and_arrays_compare_by_value(exact):
    numpy = pytest.importorskip("numpy")
    comparison = "exact" if exact else "close"
    for expected, returned in [
        (3, numpy.int64(3)),
        (2.5, numpy.float64(2.5)),
        (0.5, numpy.float32(0.5)),
        (True, numpy.bool_(True)),
        (1 + 2j, numpy.complex64(1 + 2j)),
        ("ab", numpy.str_("ab")),
        ([1, 2], numpy.array([1, 2])),
        ([[0.5], [1.5]], numpy.array([[0.5], [1.5]])),
        (7, numpy.array(7)),
        ([1.0], numpy.array([1], dtype=numpy.longdouble)),
        ([2, {"a": 3}], [numpy.int8(2), {"a": numpy.uint8(3)}]),
        ({1, 2}, {numpy.int64(1), numpy.int64(2)}),
        ({1: 2}, {numpy.int64(1): numpy.int64(2)}),
    ]:
        assert same_value(expected, sent(returned, exact), comparison), returned
        assert not same_value([expected, 0], sent(returned, exact), comparison)


@pytest.mark.parametrize("comparison", ["close", "apps", "unordered"])
def test_only_apps_unwraps_a_list_of_one(comparison):
    for expected, returned in [([3], 3), ([[1, 2]], [1, 2]), ([["a"]], ["a"]), ([[1]], (1,))]:
        unwrapped = comparison == "apps"
        assert same_value(expected, sent(returned), comparison) == unwrapped
    assert not same_value([[3]], 3, comparison)
    assert same_value([3], [3], comparison)


UNORDERED = [
    ([1, 2, 2], [2, 1, 2], True),
    ([1, 2, 2], [2, 1, 1], False),
    ([1, 2], [1, 2, 2], False),
    ([[1, 2], [3, 4]], [(3, 4), (1, 2)], True),
    ([[1, 2], [3, 4]], [[2, 1], [4, 3]], False),
    ([0.1, "a", None], [None, "a", 0.1 + 1e-9], True),
    ([[1.0, "b"], [1.0, "a"]], [[1.0 + 1e-9, "a"], [1.0, "b"]], True),
    ([{"a": 1}, {"b": 2}], [{"b": 2}, {"a": 1}], True),
    ([{"a": 1}, {"b": 2}], [{"b": 2}, {"b": 2}], False),
    ([1, 2], {2, 1}, True),
    ([], [], True),
    ([[]], [], False),
    ("ab", "ba", False),
    ({"a": [1, 2]}, {"a": [2, 1]}, False),
]


@pytest.mark.parametrize(("expected", "returned", "same"), UNORDERED)
def test_unordered_is_about_the_outermost_list(expected, returned, same):
    assert same_value(expected, sent(returned), "unordered") == same
    assert not same_value(expected, values.loads_result('{"\\u0000dict": [[1, 2]]}'), "unordered")


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


EXACT_TEXTS = [
    ("1 2\n3\n", "1 2  \n3\r\n\n", True),
    ("\ufeff1", "1", True),
    ("", " \n\n", True),
    ("1 2", " 1 2", False),
    ("1 2", "1  2", False),
    ("1\n2", "\n1\n2", False),
    ("1\n\n2", "1\n2", False),
    ("2", "2.0", False),
    ("0.3333333333", "0.333333", False),
    ("0", "-0", False),
    ("nan", "NaN", False),
]


@pytest.mark.parametrize(("expected", "printed", "same"), EXACT_TEXTS)
def test_exact_texts_are_the_same_but_for_space_at_their_ends(expected, printed, same):
    assert same_text(expected, printed, "exact") == same
    assert same_text(printed, expected, "exact") == same


def test_unordered_texts_have_the_same_lines_in_any_order():
    assert same_text("a b\nc\nc\n", "c\na  b\nc", "unordered")
    assert same_text("0.5\n1\n", "1\n0.50\n", "unordered")
    assert not same_text("a b\nc", "b a\nc", "unordered")
    assert not same_text("a\na\nb", "a\nb\nb", "unordered")


def test_a_difference_names_what_the_comparison_counts():
    assert difference((1, 1), [1, 1], "exact") == "expected (1, 1), got [1, 1]"
    assert difference("a\n2", "a\n2.0", "exact") == "line 2: expected '2', got '2.0'"
    assert difference("2\nb", "2.0\nc") == "line 2: expected 'b', got 'c'"


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
def test_every_value_exactly_equals_itself_after_encoding_and_decoding(value):
    assert same_value(value, sent(value, exact=True), "exact") or "nan" in repr(value)


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


def test_blank_lines_count_but_for_apps():
    assert same_text("1\n2", "1\n\n2\n", "apps")
    assert not same_text("1\n2", "1 2", "apps")
    assert not same_text("1\n2", "1\n\n2\n", "close")
