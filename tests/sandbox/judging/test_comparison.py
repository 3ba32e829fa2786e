"""Values are compared by the rules of `comparison`, and by nothing looser."""

import math
from collections import Counter, OrderedDict, UserDict, UserString, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from types import MappingProxyType

import pytest

from sandbox.judging.comparison import same_value
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
