"""The mask of fine-grained optimization (FGO): which generated tokens were executed (StepCoder,
section 3.3).

Each byte of the program belongs to a statement, and each token to some bytes. A token's bytes
follow from the lengths of the *generated* tokens, laid end to end from the start of the completion.
The text is never tokenised again: that could give other tokens.
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
    """True for each token of the completion that was executed or whose execution is unknown.

    The first rule that applies decides:

    - *nothing ran*: there are no statements (the program does not parse), or coverage was tampered
      with: every token is True.
    - *no bytes*: a token without bytes (end of sequence, other special tokens) is True.
    - *outside*: a token without any byte in the program (a code fence or prose, cut away before
      execution) is True; `cut_away_mask` tells those behind the program.
    - *statement*: a token with visible bytes inside statements is True if any of these statements
      was executed.
    - *gap*: a token whose visible bytes are all between statements is True if any of the statements
      that they belong to (see below) was executed.
    - *whitespace*: a token of whitespace only is True if the statement that its last byte belongs
      to was executed; so newline and indentation follow the code after them.

    Bytes between two statements belong to the statement before them up to the end of its line (a
    trailing comment), unless another statement starts on that line. All others (indentation, blank
    lines, comments on their own line, `else:`) belong to the statement after them, or to the last
    one at the end of the program.

    Args:
        token_lengths: UTF-8 bytes that each generated token adds to the completion
            (`learner.tokenizer.text_lengths`).
        completion_start: byte offset in `source` of the completion's part of the program.
        statements: (start, end, executed) in bytes of `source`, disjoint and sorted, from the
            sandbox's verdict. With `sandbox.judging.blame` instead of what was executed, the mask
            is that of the blame.
        source: the program that was run, UTF-8.
        completion_begin: bytes of the completion before that part.
        tampered: whether the program touched the tracer, so that its coverage proves nothing.

    Returns:
        One flag per token.

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


def first_token_behind(token_lengths: Sequence[int], completion_start: int, offset: int) -> int:
    """The first token of the completion with a byte at or behind an offset of the program.

    Args:
        token_lengths: as in `execution_mask`.
        completion_start: byte offset in the program of the completion's first byte; below 0 where
            text before the program was cut away.
        offset: byte offset in the program.

    Returns:
        The token's position; the number of tokens where there is none.
    """
    ends = accumulate(token_lengths, initial=completion_start)
    next(ends)
    return next((at for at, end in enumerate(ends) if end > offset), len(token_lengths))


def cut_away_mask(token_lengths: Sequence[int], program_end: int, *, stopped: bool) -> list[bool]:
    """True for each token of the completion whose text stands behind the program: it was cut away
    before the program ran (a closing fence, prose, a second attempt, a driver).

    A token that is partly in the program is not cut away, nor is one without bytes (end of
    sequence), nor the token that ended the completion (the last one of a stop string): these are
    the policy's decision to stop.

    Args:
        token_lengths: as in `execution_mask`.
        program_end: byte offset in the completion at which the program ends.
        stopped: whether the policy or a stop string ended the completion, and not its limit.
    """
    starts = accumulate(token_lengths, initial=0)
    mask = [
        length > 0 and start >= program_end
        for length, start in zip(token_lengths, starts, strict=False)
    ]
    if stopped and mask:
        mask[-1] = False
    return mask


class _Counts(NamedTuple):
    """Running counts of one kind of visible bytes: before each offset 0..len(source)."""

    total: list[int]
    executed: list[int]
    """Those that belong to an executed statement."""


def _totals(
    statements: Sequence[tuple[int, int, bool]], source: bytes, executed: Sequence[bool]
) -> tuple[list[int], _Counts, _Counts]:
    """Visible bytes before each offset 0..len(source); those inside statements; those between.

    With running counts each token takes two look-ups, whatever its length.
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
    """The index of the statement that each byte belongs to."""
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
