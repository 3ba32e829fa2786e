"""Where a canonical solution may be cut: before its conditional and loop statements."""

import ast
import re
from collections.abc import Iterator
from typing import Any, Literal, get_args

from curriculum.syntax import parse

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
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields that hold statements, or the handlers and cases that do."""
_NO_STATEMENTS = (ast.ExceptHandler, ast.match_case)


def start_points(
    source: str, kinds: frozenset[str], tree: ast.Module | None = None
) -> tuple[int, ...]:
    r"""Offsets, in characters and ascending, at which a prefix of `source` may end.

    There is one for every statement of the given kinds. `elif` is an `if`, `async for` and `async
    with` count as well, comprehensions and conditional expressions do not. Source order is also
    outermost to innermost. An offset stands before the white space (the newline, blank lines above
    it) that precedes the statement, so that the policy writes `"\n    if ..."` itself and the cut
    falls between two tokens; comments above the statement stay in the prefix. A statement at the
    very beginning has offset 0.

    Args:
        source: a program.
        kinds: of `START_POINT_KINDS`; with none of them the source is not parsed.
        tree: of the source, where the caller has it.

    Raises:
        SyntaxError: Python cannot parse the source (more exactly, one of `syntax.UNPARSABLE`).
        KeyError: an unknown kind.

    Source: StepCoder (arXiv 2402.01391), section 3.1: start points are the beginnings of
    conditional statements located by the AST. The paper leaves open which node types count;
    counting only `if` leaves half of the problems without a curriculum.
    """
    if not kinds:
        return ()
    counted = {node for kind in kinds for node in _NODES[kind]}
    lines = [node.lineno for node in _statements(tree or parse(source)) if type(node) in counted]
    return _before_lines(source, sorted(lines))


def statement_points(source: str) -> tuple[int, ...]:
    """Offsets, ascending and distinct, before every statement that begins a line of its own.

    A decorated statement begins at its first decorator. Offsets stand before white space, like
    those of `start_points`.

    Raises:
        SyntaxError: Python cannot parse the source (more exactly, one of `syntax.UNPARSABLE`).
    """
    lines: set[int] = set()
    text = _NEWLINE.split(source)
    for node in _statements(parse(source)):
        decorators = getattr(node, "decorator_list", [])
        line = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        # The AST has an `elif` as an `if` behind the text "el". A statement behind `;` does not
        # begin its line, not even where the line begins inside a string.
        before = text[node.lineno - 1].encode()[: node.col_offset]
        if not before.strip() or before.strip() == b"el" or decorators:
            lines.add(line)
    return tuple(sorted(set(_before_lines(source, sorted(lines)))))


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Every statement; unlike `ast.walk`, skips expressions, which hold none."""
    blocks: list[list[Any]] = [tree.body]
    while blocks:
        for node in blocks.pop():
            if type(node) not in _NO_STATEMENTS:
                yield node
            fields = node.__dict__
            blocks += [fields[name] for name in _BLOCKS if name in fields]


def _before_lines(source: str, lines: list[int]) -> tuple[int, ...]:
    if not lines:
        return ()
    starts = [0, *(match.end() for match in _NEWLINE.finditer(source))]
    offsets: list[int] = []
    for line in lines:
        offset = starts[line - 1]
        while offset and source[offset - 1] in _BLANK:
            offset -= 1
        # Behind `if x: \`, say, which nothing but the end of its line may follow.
        while offset and source[offset - 1] == "\\":
            offset -= 1
            while offset and source[offset - 1] in _BLANK:
                offset -= 1
        offsets.append(offset)
    return tuple(offsets)
