"""The FGO mask: which generated tokens were executed (StepCoder, section 3.3).

Bytes of the program are assigned to statements, tokens to the bytes they stand for. A token's bytes
are found from the lengths of the *generated* tokens, one after the other from the start of the
completion; nothing is tokenised again.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import and_
from typing import NamedTuple

_SPACE = frozenset(b" \t\n\r\x0b\x0c")


def execution_mask(
    token_lengths: Sequence[int],
    completion_start: int,
    statements: Sequence[tuple[int, int, bool]],
    source: bytes,
    *,
    completion_begin: int = 0,
    tampered: bool = False,
) -> list[bool]:
    """True for every token of the completion that was executed, or of which nothing can be said.

    The rules, in the order in which they are tried:

    - *nothing ran*: no statements (the program does not parse), or coverage was tampered with: all
      True.
    - *no bytes*: a token without bytes (end of sequence, other specials) is True.
    - *outside*: a token of which no byte is in the program (cut away before execution: a code
      fence, prose) is True.
    - *statement*: a token with visible bytes inside statements is True if any of those was
      executed.
    - *gap*: a token whose visible bytes all lie between statements goes by the statements these
      belong to, see below.
    - *whitespace*: a token of whitespace alone goes by the statement its last byte belongs to; so
      newline and indentation follow the code they lead to.

    Bytes between two statements belong to the statement before them up to the end of its line (a
    trailing comment), unless another statement starts on that line; all others (indentation, blank
    lines, comments on their own line, `else:`) belong to the statement after them, or at the end of
    the program to the last.

    Args:
        token_lengths: UTF-8 bytes each generated token adds to the completion
            (`learner.tokenizer.text_lengths`).
        completion_start: byte offset in `source` at which the completion's part of it begins.
        statements: (start, end, executed) in bytes of `source`, disjoint and sorted (the sandbox's
            verdict).
        source: the program as it was run, UTF-8.
        completion_begin: bytes of the completion that stand before that part.
        tampered: the program touched the tracer, so its coverage proves nothing.

    Raises:
        ValueError: statements overlap, are unsorted or leave the source; a length is negative; or
            `completion_start` lies outside the source.
    """
    _check(token_lengths, completion_start, statements, source)
    if not statements or tampered:
        return [True] * len(token_lengths)
    executed = [statements[owner][2] for owner in _owners(statements, source)]
    seen, inner, outer = _totals(statements, source, executed)
    mask = []
    end = completion_start - completion_begin
    for length in token_lengths:
        start, end = end, end + length
        first, stop = max(start, completion_start), min(end, len(source))
        if first >= stop:
            mask.append(True)
        elif seen[first] == seen[stop]:
            mask.append(executed[stop - 1])
        else:
            by_statement = inner.total[first] < inner.total[stop]
            hits = inner.executed if by_statement else outer.executed
            mask.append(hits[first] < hits[stop])
    return mask


class _Counts(NamedTuple):
    """Visible bytes of a kind before each offset, and the executed ones among them."""

    total: list[int]
    executed: list[int]


def _totals(
    statements: Sequence[tuple[int, int, bool]], source: bytes, executed: Sequence[bool]
) -> tuple[list[int], _Counts, _Counts]:
    """Running counts, so that each token's bytes are counted by two look-ups.

    Returns:
        Visible bytes before each offset 0..len(source); those inside statements; those between.
    """
    visible = [byte not in _SPACE for byte in source]
    inside = [False] * len(source)
    for start, end, _ in statements:
        inside[start:end] = visible[start:end]
    between = [v and not i for v, i in zip(visible, inside, strict=True)]

    def counts(kind: Sequence[bool]) -> _Counts:
        hits = map(and_, kind, executed)
        return _Counts(_running(kind), _running(hits))

    return _running(visible), counts(inside), counts(between)


def _running(flags: Iterable[bool]) -> list[int]:
    return list(accumulate(flags, initial=0))


def _owners(statements: Sequence[tuple[int, int, bool]], source: bytes) -> list[int]:
    """For each byte the index of the statement it belongs to, gaps included."""
    owners: list[int] = []
    for index, (_, end, _) in enumerate(statements):
        owners += [index] * (end - len(owners))
        following = statements[index + 1][0] if index + 1 < len(statements) else len(source)
        line_end = source.find(b"\n", end, following)
        if index + 1 == len(statements):
            line_end = following
        owners += [index] * (line_end - end)
    return owners


def _check(
    token_lengths: Sequence[int],
    completion_start: int,
    statements: Sequence[tuple[int, int, bool]],
    source: bytes,
) -> None:
    if any(length < 0 for length in token_lengths):
        raise ValueError(f"a token length is negative: {min(token_lengths)}")
    if not 0 <= completion_start <= len(source):
        raise ValueError(f"completion_start {completion_start} is outside 0..{len(source)}")
    previous = 0
    for index, (start, end, _) in enumerate(statements):
        if not previous <= start < end <= len(source):
            raise ValueError(
                f"statement {index} at bytes {start}..{end} overlaps the one before it, "
                f"is empty or leaves the {len(source)} bytes of the program"
            )
        previous = end
