"""The statements of a program: the bytes each one owns, and a line number of its own for each.

Line events distinguish statements only if no two share a line. So before compilation every
statement (and every `except` and `case` clause) gets a synthetic line number, its id: a line event
then is a statement event. A function's docstring, `global` and bare annotations produce no code, so
a `pass` with the same number is put beside them. `else:` and `finally:` count as executed when the
first statement of their suite is.
"""

import _ast as ast  # `ast` itself would make the forked process a tenth larger
import re
import sys
from typing import Any, NamedTuple


class Span(NamedTuple):
    """The bytes `[start, end)` of the source that one statement itself owns."""

    start: int
    end: int
    alias: int
    """For `else:` and `finally:`, the id of the first statement of the suite; otherwise 0."""


class Numbering(NamedTuple):
    """Both lists are in source order; a statement's id is its position in them plus one."""

    spans: list[Span]
    lines: list[int]
    """The line (1-based) on which each statement starts."""


def parse(source: str) -> ast.Module:
    """The program's syntax tree; raises what `compile` raises."""
    tree = compile(source, "<program>", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


def number(tree: ast.Module, source: bytes) -> Numbering:
    """Number the statements of a tree just parsed from `source` (UTF-8), in place.

    A compound statement owns its header, from its first decorator or keyword to the colon; the
    statements of its suites own theirs. Afterwards the `lineno` of every node is its statement's
    id.
    """
    numberer = _Numberer(source)
    previous_limit = sys.getrecursionlimit()
    sys.setrecursionlimit(MAX_DEPTH)  # every `elif` of a chain is one level deeper in the tree
    try:
        numberer.suite(tree.body)
    finally:
        sys.setrecursionlimit(previous_limit)
    return Numbering(numberer.spans, numberer.lines)


MAX_DEPTH = 20_000
_Field = ast.AST | list[Any] | str | None
"""The value of a node's field; the items of lists are nodes or such values."""
_LINE = re.compile(rb"\r\n|\r|\n")
_COLON = re.compile(rb"#[^\r\n]*|:")
_KEYWORD = {word: re.compile(rb"#[^\r\n]*|\b" + word) for word in (b"else", b"finally", b"case")}
_SUITES = ("body", "handlers", "orelse", "finalbody", "cases")
_COMPOUND = (
    ast.If,
    ast.For,
    ast.While,
    ast.FunctionDef,
    ast.With,
    ast.Try,
    ast.ClassDef,
    ast.Match,
    ast.AsyncFunctionDef,
    ast.AsyncFor,
    ast.AsyncWith,
    ast.TryStar,
)


class _Numberer:
    def __init__(self, source: bytes):
        self.source = source
        self.starts = [0, *(match.end() for match in _LINE.finditer(source))]
        self.spans: list[Span] = []
        self.lines: list[int] = []

    def offset(self, line: int, column: int) -> int:
        return self.starts[line - 1] + column

    def find(self, pattern: re.Pattern[bytes], start: int) -> tuple[int, int]:
        """The first match outside comments; there is one, because the source parsed."""
        for match in pattern.finditer(self.source, start):
            if self.source[match.start()] != 35:  # "#"
                return match.span()
        raise AssertionError(f"{pattern.pattern!r} not found from byte {start}")

    def add(self, line: int, start: int, end: int) -> int:
        self.spans.append(Span(start, end, 0))
        self.lines.append(line)
        return len(self.spans)

    def suite(self, body: list[ast.stmt], of_function: bool = False) -> int:
        """Number a suite; returns the id of its first statement."""
        first = len(self.spans) + 1
        numbered: list[ast.stmt] = []
        for index, statement in enumerate(body):
            identity = self.statement(statement)
            if of_function and not index and _is_text(statement):
                numbered += [statement, _marker(identity)]
            elif _makes_no_code(statement):
                numbered += [_marker(identity), statement]
            else:
                numbered.append(statement)
        body[:] = numbered
        return first

    def statement(self, node: ast.stmt) -> int:
        start = self.offset(node.lineno, node.col_offset)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        if not isinstance(node, _COMPOUND):
            end = self.offset(node.end_lineno, node.end_col_offset)
            identity = self.add(node.lineno, start, end)
            _relabel(node, identity)
            return identity
        line = node.lineno
        decorators = getattr(node, "decorator_list", None)
        if decorators:
            line = decorators[0].lineno
            first = self.offset(line, decorators[0].col_offset)
            start = self.source.rindex(b"@", 0, first)
        identity = self.header(node, line, start)
        previous_end = self.spans[-1].end
        for field in _SUITES:
            content = getattr(node, field, None)
            if not content:
                continue
            if field == "cases":
                for case in content:
                    previous_end = self.case(case, previous_end)
                continue
            last = content[-1]
            content_end = self.offset(last.end_lineno, last.end_col_offset)
            if field == "handlers":
                for handler in content:
                    at = self.offset(handler.lineno, handler.col_offset)
                    self.header(handler, handler.lineno, at)
                    self.suite(handler.body)
            elif field == "body":
                self.suite(content, isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
            elif self.is_elif(node, field):
                self.suite(content)
            else:
                self.clause(b"else" if field == "orelse" else b"finally", content, previous_end)
            previous_end = content_end
        return identity

    def is_elif(self, node: ast.stmt, field: str) -> bool:
        if not isinstance(node, ast.If) or field != "orelse":
            return False
        first = node.orelse[0]
        at = self.offset(first.lineno, first.col_offset)
        return isinstance(first, ast.If) and self.source.startswith(b"elif", at)

    def header(self, node: ast.AST, line: int, start: int) -> int:
        """Number a compound statement's or clause's header, `start` to its colon."""
        last = max(start, self.end_of_parts(node))
        identity = self.add(line, start, self.find(_COLON, last)[1])
        _relabel(node, identity)
        return identity

    def end_of_parts(self, node: ast.AST) -> int:
        """Where the last expression of a header ends; -1 where it has none."""
        last = -1
        for field in node._fields:
            if field in _SUITES:
                continue
            value: _Field = getattr(node, field, None)
            parts = value if isinstance(value, list) else [value]
            for part in parts:
                if isinstance(part, ast.AST):
                    end_line = getattr(part, "end_lineno", None)
                    if end_line is None:
                        last = max(last, self.end_of_parts(part))
                    else:
                        last = max(last, self.offset(end_line, part.end_col_offset))  # type: ignore[attr-defined]
        return last

    def case(self, case: ast.match_case, previous_end: int) -> int:
        start = self.find(_KEYWORD[b"case"], previous_end)[0]
        last = case.body[-1]
        assert last.end_lineno is not None
        assert last.end_col_offset is not None
        end = self.offset(last.end_lineno, last.end_col_offset)
        self.header(case, self.line_at(start), start)
        self.suite(case.body)
        return end

    def clause(self, keyword: bytes, suite: list[ast.stmt], previous_end: int) -> None:
        """Number an `else:` or `finally:` and its suite."""
        start, word_end = self.find(_KEYWORD[keyword], previous_end)
        end = self.find(_COLON, word_end)[1]
        identity = self.add(self.line_at(start), start, end)
        self.spans[identity - 1] = Span(start, end, self.suite(suite))

    def line_at(self, offset: int) -> int:
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= offset else (low, middle)
        return low + 1


def _is_text(statement: ast.stmt) -> bool:
    """Whether this is a bare string: a docstring, if it is the first statement of a function."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _makes_no_code(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    return isinstance(statement, (ast.Global, ast.Nonlocal))


def _marker(identity: int) -> ast.stmt:
    """A `pass` with the line number of a statement that produces no code."""
    return ast.Pass(lineno=identity, end_lineno=identity, col_offset=0, end_col_offset=0)


_NO_PARTS = frozenset({"ctx", "op", "ops", "id", "attr", "arg"})
_part_fields: dict[type, tuple[str, ...]] = {
    ast.Constant: (),
    ast.Name: (),
    ast.Global: (),
    ast.Nonlocal: (),
}


def _relabel(node: ast.AST, identity: int) -> None:
    """Give the node and all its parts, except the statements of its suites, the line `identity`."""
    stack = [node]
    while stack:
        node = stack.pop()
        kind, attributes = type(node), node.__dict__
        if "lineno" in attributes:
            attributes["lineno"] = attributes["end_lineno"] = identity
            attributes["col_offset"] = attributes["end_col_offset"] = 0
        fields = _part_fields.get(kind)
        if fields is None:
            fields = tuple(field for field in kind._fields if field not in _NO_PARTS)
            _part_fields[kind] = fields
        for field in fields:
            value: _Field = attributes.get(field)
            if isinstance(value, list):
                if value and not isinstance(value[0], _SUITE_MEMBERS):
                    stack += [part for part in value if isinstance(part, ast.AST)]
            elif isinstance(value, ast.AST):
                stack.append(value)


_SUITE_MEMBERS = (ast.stmt, ast.ExceptHandler, ast.match_case)
