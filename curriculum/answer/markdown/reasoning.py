"""Reasoning in an answer: what a model thought before it answered is never the answer."""

import re
from collections.abc import Sequence
from functools import lru_cache

from curriculum.answer.markdown.markers import is_quoted
from curriculum.answer.markdown.spans import Span

KNOWN = (
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3, and most others
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # OpenThinker
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # gpt-oss
)
"""Opening and closing markers of reasoning that models are known to write."""


def reasoning_spans(
    text: str, begin: int, markers: Sequence[tuple[str, str]], opened: bool
) -> list[Span]:
    """The stretches of `text` from `begin` on that are reasoning, markers included, in order.

    A block begins where a line begins with an opening marker, and ends with the first closing one
    behind it, or never. A closing marker without an opening one ends a block that the prompt
    opened: everything before it is reasoning.

    Args:
        text: the completion.
        begin: where to start.
        markers: pairs of an opening and a closing marker beside the known ones; case does not
            matter.
        opened: whether the prompt is known to have opened a block.
    """
    spans: list[Span] = []
    pairs = (*KNOWN, *markers)
    start, closing = begin, _closing(pairs)
    if opened:
        close = closing.search(text, begin)
        if close is None:
            return [Span(begin, len(text), "reasoning")]
        spans.append(Span(begin, close.end(), "reasoning"))
        start = close.end()
    return spans + _spans(text, start, pairs)


def _spans(text: str, at: int, markers: tuple[tuple[str, str], ...]) -> list[Span]:
    found_spans: list[Span] = []
    opening, closing = _opening(markers), _closing(markers)
    start = at
    open_found, close_found = opening.search(text, at), closing.search(text, at)
    while open_found is not None or close_found is not None:
        if open_found is not None and (
            close_found is None or open_found.start() < close_found.start()
        ):
            if close_found is None:
                found_spans.append(Span(open_found.start(), len(text), "reasoning"))
                break
            found_spans.append(Span(open_found.start(), close_found.end(), "reasoning"))
            at = close_found.end()
        else:
            assert close_found is not None
            at = close_found.end()
            if not is_quoted(text, close_found.start(), at):
                found_spans = [Span(start, at, "reasoning")]
        if open_found is not None and open_found.start() < at:
            open_found = opening.search(text, at)
        close_found = closing.search(text, at)
    return found_spans


@lru_cache(maxsize=16)
def _opening(markers: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    names = "|".join(re.escape(opening) for opening, _ in markers)
    return re.compile(rf"^[ \t]*(?:{names})", re.IGNORECASE | re.MULTILINE)


@lru_cache(maxsize=16)
def _closing(markers: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(closing) for _, closing in markers), re.IGNORECASE)
