"""Texts and states of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.inspection.token_states import Completion, token_texts


@given(st.text(), st.data())
def test_token_texts_are_the_completion_in_order(text: str, data: st.DataObject) -> None:
    size = len(text.encode(errors="surrogatepass"))
    ends = [*sorted(data.draw(st.lists(st.integers(0, size)))), size]
    lengths = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    texts = token_texts(text, lengths)
    assert len(texts) == len(lengths)
    assert "".join(texts) == text


def test_a_character_of_several_tokens_belongs_to_the_last() -> None:
    assert token_texts("aé!", [1, 1, 1, 1]) == ["a", "", "é", "!"]


PROGRAM = "if x:\n    y = 1\nelse:\n    y = 2\n"
STATEMENTS = ((0, 5, True), (10, 15, True), (26, 31, False))


@pytest.mark.parametrize(
    ("statements", "tampered", "expected"),
    [(STATEMENTS, False, "cxxnncs"), ((), False, "cuuuucs"), (STATEMENTS, True, "cuuuucs")],
    ids=["coverage", "nothing ran", "tampered"],
)
def test_states_of_tokens(
    statements: tuple[tuple[int, int, bool], ...], tampered: bool, expected: str
) -> None:
    text = f"```py\n{PROGRAM}```"
    cuts = ((0, 6, "fence"), (6 + len(PROGRAM), len(text), "fence"))
    completion = Completion(text, PROGRAM, (6, 6 + len(PROGRAM)), cuts, statements, tampered)
    assert completion.states([6, 6, 10, 10, 6, 3, 0]) == expected


def test_without_tokens_the_text_is_in_stretches_of_one_state() -> None:
    text = f"```py\n{PROGRAM}```"
    cuts = ((0, 6, "fence"), (6 + len(PROGRAM), len(text), "fence"))
    completion = Completion(text, PROGRAM, (6, 6 + len(PROGRAM)), cuts, STATEMENTS, False)
    texts, states = completion.segments()
    assert "".join(texts) == text
    assert states == "cxnc"
    assert texts[2].strip() == "else:\n    y = 2"
