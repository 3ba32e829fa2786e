"""Texts are compared by the rules of `comparison`; what a difference of outputs is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.judging.comparison import difference, same_text

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
