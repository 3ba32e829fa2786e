"""The FGO mask: which generated tokens were executed (StepCoder, section 3.3).

Bytes of the program are assigned to statements, tokens to the bytes they stand for. A token's bytes
are found from the lengths of the *generated* tokens, one after the other from the start of the
completion; nothing is tokenised again.
"""

from collections.abc import Sequence

_GAP = -1


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
    regions = _regions(statements, len(source))
    owners = _owners(statements, source)
    mask = []
    end = completion_start - completion_begin
    for length in token_lengths:
        start, end = end, end + length
        span = range(max(start, completion_start), min(end, len(source)))
        mask.append(_any_executed(span, source, statements, regions, owners))
    return mask


def _any_executed(
    span: range,
    source: bytes,
    statements: Sequence[tuple[int, int, bool]],
    regions: Sequence[int],
    owners: Sequence[int],
) -> bool:
    if not span:
        return True
    visible = [at for at in span if not source[at : at + 1].isspace()]
    if not visible:
        return statements[owners[span[-1]]][2]
    inside = [regions[at] for at in visible if regions[at] != _GAP]
    return any(statements[index][2] for index in inside or (owners[at] for at in visible))


def _regions(statements: Sequence[tuple[int, int, bool]], length: int) -> list[int]:
    """For each byte the index of the statement whose region holds it, or `_GAP`."""
    regions = [_GAP] * length
    for index, (start, end, _) in enumerate(statements):
        regions[start:end] = [index] * (end - start)
    return regions


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
