"""Where a canonical solution may be cut: before its conditional and loop statements."""

import ast
import re
import warnings
from typing import Literal, get_args

StartPointKind = Literal["if", "for", "while", "try", "with", "match"]
START_POINT_KINDS: tuple[StartPointKind, ...] = get_args(StartPointKind)

_NODES: dict[str, tuple[type[ast.stmt], ...]] = {
    "if": (ast.If,),
    "for": (ast.For, ast.AsyncFor),
    "while": (ast.While,),
    "try": (ast.Try, ast.TryStar),
    "with": (ast.With, ast.AsyncWith),
    "match": (ast.Match,),
}
_NEWLINE = re.compile(r"\r\n|\r|\n")  # the line ends that Python's own tokenizer counts
_BLANK = " \t\f\r\n"


def start_points(source: str, kinds: frozenset[str]) -> tuple[int, ...]:
    r"""Offsets, in characters and ascending, at which a prefix of `source` may end.

    There is one for every statement of the given kinds (`elif` is an `if`; `async` ones count;
    comprehensions and conditional expressions are no statements). Source order is also outermost
    to innermost. An offset stands before the white space (the newline, blank lines above it) that
    precedes the statement, so that the policy writes `"\n    if ..."` itself and the cut falls
    between two tokens; comments above the statement stay in the prefix. A statement at the very
    beginning has offset 0.

    Without kinds the source is not even parsed. Raises `SyntaxError`, `ValueError` (null bytes) or
    `RecursionError` for a source that Python cannot parse, `KeyError` for an unknown kind.

    Source: StepCoder (arXiv 2402.01391), section 3.1: start points are the beginnings of
    conditional statements located by the AST. The paper leaves open which node types count;
    counting only `if` leaves half of the problems without a curriculum.
    """
    if not kinds:
        return ()
    counted = tuple(node for kind in kinds for node in _NODES[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" in somebody's solution is not our user's concern
        tree = ast.parse(source)
    line_starts = [0, *(match.end() for match in _NEWLINE.finditer(source))]
    lines = sorted(node.lineno for node in ast.walk(tree) if isinstance(node, counted))
    return tuple(len(source[: line_starts[line - 1]].rstrip(_BLANK)) for line in lines)
