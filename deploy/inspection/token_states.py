"""Completions for the page: the text of each token, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from curriculum.program import Cut, Program
from learner.mask import execution_mask

EXECUTED, NOT_EXECUTED, CUT_AWAY, UNKNOWN, NO_TEXT = "x", "n", "c", "u", "s"
"""States of a token: on an executed statement or around one; on a statement that no test executed;
outside the program; nothing is known, because nothing ran; without text, such as end of sequence.
"""

_WORD = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True)
class Completion:
    """One completion and the program that was made of it."""

    text: str
    source: str
    """The whole program."""
    program_bytes: tuple[int, int]
    """The range of the completion that is in the program."""
    cuts: tuple[tuple[int, int, str], ...]
    """What is left out, in bytes of the completion, with the rule."""
    statements: tuple[tuple[int, int, bool], ...]
    tampered: bool

    def states(self, lengths: Sequence[int]) -> str:
        """The state of each token, one letter per token.

        Args:
            lengths: bytes that each token adds to the text.
        """
        program = self._program()
        executed = execution_mask(
            program.kept_lengths(lengths),
            program.completion_start,
            self.statements,
            program.source.encode(errors="surrogatepass"),
            completion_begin=program.begin,
            tampered=self.tampered,
        )
        known = bool(self.statements) and not self.tampered
        return "".join(
            _state(length, in_program, ran, known)
            for length, in_program, ran in zip(
                lengths, self._in_program(lengths), executed, strict=True
            )
        )

    def _program(self) -> Program:
        begin, end = self.program_bytes
        cuts = tuple(Cut(*cut) for cut in self.cuts)  # type: ignore[arg-type]
        removed = sum(cut.end - cut.begin for cut in cuts if begin <= cut.begin and cut.end <= end)
        size = len(self.source.encode(errors="surrogatepass"))
        return Program(self.source, size - (end - begin - removed), begin, end, cuts)

    def _in_program(self, lengths: Sequence[int]) -> Iterator[bool]:
        """Whether any byte of each token is in the program."""
        begin, end = self.program_bytes
        outside = [False] * sum(lengths)
        for first, last, _ in self.cuts:
            outside[first:last] = [True] * (min(last, len(outside)) - first)
        outside[:begin] = [True] * min(begin, len(outside))
        if end < len(outside):
            outside[end:] = [True] * (len(outside) - end)
        inside = list(accumulate((not flag for flag in outside), initial=0))
        at = 0
        for length in lengths:
            yield inside[at] < inside[at + length]
            at += length

    def segments(self) -> tuple[list[str], str]:
        """The text without knowledge of its tokens: stretches of one state, and their states."""
        words = _WORD.findall(self.text)
        states = self.states([len(word.encode(errors="surrogatepass")) for word in words])
        texts, kinds = [], []
        for state, run in groupby(zip(words, states, strict=True), key=lambda pair: pair[1]):
            texts.append("".join(word for word, _ in run))
            kinds.append(state)
        return texts, "".join(kinds)


def token_texts(text: str, lengths: Sequence[int]) -> list[str]:
    """The text of each token. A character that several tokens write belongs to the last of them.

    Args:
        text: of the whole completion.
        lengths: bytes that each token adds to it.
    """
    content = text.encode(errors="surrogatepass")
    texts, start, at = [], 0, 0
    for length in lengths:
        at += length
        end = at
        while end > start and end < len(content) and content[end] & 0xC0 == 0x80:
            end -= 1  # within a character: the next token finishes it
        texts.append(content[start:end].decode(errors="surrogatepass"))
        start = end
    return texts


def _state(length: int, in_program: bool, ran: bool, known: bool) -> str:
    if not length:
        return NO_TEXT
    if not in_program:
        return CUT_AWAY
    if not known:
        return UNKNOWN
    return EXECUTED if ran else NOT_EXECUTED
