"""What each statement of a program reads, binds and stands in."""

import ast
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from curriculum.syntax import UNPARSABLE, parse
from sandbox.verdict import Statement

_LINE_BREAK = re.compile(rb"\r\n|\r|\n")
_CLAUSE = re.compile(rb"(?:else|finally)\b")
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_Placed = ast.stmt | ast.ExceptHandler | ast.pattern
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class StatementFacts:
    """One statement; others are named by their position in the verdict's statements."""

    reads: set[str] = field(default_factory=set[str])
    """Names and attributes that it reads."""
    binds: set[str] = field(default_factory=set[str])
    """Names that it binds or changes."""
    around: int | None = None
    """The header or clause that it stands in; None outside of all."""
    function: int | None = None
    """The innermost definition of a function that it stands in; None outside of all."""
    loop: int | None = None
    """The outermost loop around it, itself included, within its function."""
    end: int = 0
    """The position behind its last suite."""


class Dependence(list[StatementFacts]):
    """The facts of a program's statements, in the order of the verdict's."""

    def __init__(self, source: bytes, statements: Sequence[Statement]):
        super().__init__(StatementFacts(end=index + 1) for index in range(len(statements)))
        self._source = source
        self._spans = statements
        self._starts = [statement.start for statement in statements]
        self._lines = [0, *(match.end() for match in _LINE_BREAK.finditer(source))]
        self._functions: defaultdict[str, set[int]] = defaultdict(set)
        """The definitions of functions, by name."""
        self._name_of: dict[int, str] = {}
        """The name of each definition."""
        self._values: defaultdict[int | None, set[int]] = defaultdict(set)
        """The statements that give a function's value, by its definition."""
        self._readers: defaultdict[str, list[int]] = defaultdict(list)
        self._binders: defaultdict[str, list[int]] = defaultdict(list)
        """The statements that read and that bind a name (`index_names`)."""

    def on_line(self, line: int) -> list[int]:
        """The statements that begin on a line (1-based), or else those that own a byte on it."""
        bounds = [*self._lines, len(self._source) + 1]
        if not 0 < line < len(bounds):
            return []
        begin, end = bounds[line - 1], bounds[line]
        own = [
            at for at, (start, stop, _) in enumerate(self._spans) if start < end and stop > begin
        ]
        return [at for at in own if self._spans[at].start >= begin] or own

    def loop_of(self, index: int) -> range:
        """The positions of the outermost loop around a statement, within its function."""
        loop = self[index].loop
        return range(0) if loop is None else range(loop, self[loop].end)

    def needed_by(self, index: int, followed: set[str | int]) -> Iterator[int]:
        """The statements that a statement directly depends on, whether executed or not.

        Args:
            index: of the statement.
            followed: names and functions of which all statements were yielded before: they are
                left out, and those that are yielded now are added. So what leads to a statement is
                found in a time linear in the program, however often it repeats a name.
        """
        facts = self[index]
        if facts.around is not None:
            yield facts.around
        for name in facts.reads - followed:
            followed.add(name)
            yield from self._binders.get(name, ())
            for definition in self._functions.get(name, ()):
                yield from self._values.get(definition, ())
        if facts.function is not None and facts.function not in followed:
            followed.add(facts.function)
            yield from self._readers.get(self._name_of[facts.function], ())

    def index_names(self) -> None:
        """Note which statements read and bind each name, once all are taken in."""
        for index, facts in enumerate(self):
            for name in facts.reads:
                self._readers[name].append(index)
            for name in facts.binds:
                self._binders[name].append(index)

    def visit(
        self, body: Sequence[ast.stmt], around: int | None, function: int | None, loop: int | None
    ) -> int:
        """Take in a suite; returns the position behind its last statement."""
        end = 0
        for node in body:
            index = self._place(node, around, function, loop)
            inner_function, inner_loop = function, loop
            if isinstance(node, _FUNCTIONS):
                self._functions[node.name].add(index)
                self._name_of[index] = node.name
                inner_function, inner_loop = index, None
            elif isinstance(node, _LOOPS) and loop is None:
                inner_loop = self[index].loop = index
            self._take_names(node, index, function)
            end = index + 1
            for clause, suite in self._suites(node, index, inner_function, inner_loop):
                end = self.visit(suite, clause, inner_function, inner_loop)
            self[index].end = end
        return end

    def _suites(
        self, node: ast.stmt, index: int, function: int | None, loop: int | None
    ) -> Iterator[tuple[int, list[ast.stmt]]]:
        """The suites of a compound statement, each with the header or clause it stands under."""
        if isinstance(body := getattr(node, "body", None), list):
            yield index, body
        for handler in getattr(node, "handlers", ()):
            clause = self._place(handler, index, function, loop)
            self._take_names(handler, clause, function)
            yield clause, handler.body
        for case in getattr(node, "cases", ()):
            clause = self._place(case.pattern, index, function, loop)
            for part in filter(None, (case.pattern, case.guard)):
                self._take_names(part, clause, function)
            yield clause, case.body
        for suite in _last_suites(node):
            before = self._position(suite[0]) - 1
            start, stop, _ = self._spans[before]
            if before > index and _CLAUSE.match(self._source, start, stop):
                self[before].around, self[before].function = index, function
                self[before].loop = loop
                yield before, suite
            else:
                yield index, suite

    def _place(
        self, node: _Placed, around: int | None, function: int | None, loop: int | None
    ) -> int:
        index = self._position(node)
        facts = self[index]
        facts.around, facts.function, facts.loop = around, function, loop
        return index

    def _position(self, node: _Placed) -> int:
        """The statement that a node belongs to: the last that begins at or before it."""
        decorators: list[ast.expr] = getattr(node, "decorator_list", [])
        first = decorators[0] if decorators else node
        offset = self._lines[first.lineno - 1] + first.col_offset
        return bisect_right(self._starts, offset) - 1

    def _take_names(self, node: ast.AST, index: int, function: int | None) -> None:
        facts = self[index]
        for part in _header(node):
            _add_names(part, facts)
            if isinstance(part, (ast.Return, ast.Yield, ast.YieldFrom)):
                self._values[function].add(index)


def dependence(source: str, statements: Sequence[Statement]) -> Dependence | None:
    """The facts of a program's statements; None if this Python does not parse the program.

    A statement binds or changes a name that it assigns, deletes, imports, defines or captures; of
    which it assigns an item or an attribute; of which it calls a method; and, where it is a call of
    which the result is not used, other than of `print`, each name that is an argument.
    """
    facts = Dependence(source.encode(errors="surrogatepass"), statements)
    try:
        facts.visit(parse(source).body, None, None, None)
        facts.index_names()
    except UNPARSABLE:
        return None
    return facts


def _last_suites(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The suites of a compound statement under `else:` and `finally:`, or an `elif`."""
    for name in ("orelse", "finalbody"):
        suite: list[ast.stmt] = getattr(node, name, [])
        if suite:
            yield suite


def _header(node: ast.AST) -> Iterator[ast.AST]:
    """A node and what it consists of, without the statements of its suites."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += [
            child
            for child in ast.iter_child_nodes(part)
            if not isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case))
        ]


def _add_names(node: ast.AST, facts: StatementFacts) -> None:
    """What one node of a statement reads and binds."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            facts.reads.add(name)
        case ast.Name(id=name):
            facts.binds.add(name)
        case ast.Attribute(attr=name, ctx=ast.Load()):
            facts.reads.add(name)
        case ast.Attribute() | ast.Subscript():
            if not isinstance(node.ctx, ast.Load):
                facts.binds |= _root(node)
        case ast.AugAssign(target=ast.Name(id=name)):
            facts.reads.add(name)
        case ast.Call(func=ast.Attribute(value=owner)):
            facts.binds |= _root(owner)
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
            pass
        case ast.Expr(value=ast.Call(args=arguments, keywords=keywords)):
            for argument in [*arguments, *(keyword.value for keyword in keywords)]:
                facts.binds |= _root(argument)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            facts.binds.add(node.name)
        case ast.alias():
            facts.binds.add((node.asname or node.name).partition(".")[0])
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            facts.binds.add(name)
        case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            facts.binds.add(name)
        case _:
            pass


def _root(node: ast.AST) -> set[str]:
    """The name that an expression reaches its object through; none for other expressions."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()
