"""Where the part of a solution ends that its function needs: behind it stand tests and drivers."""

import ast
import re
import symtable
import warnings
from collections.abc import Iterator, Sequence

from curriculum.problem import Problem
from curriculum.syntax import parse

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NEWLINE = re.compile(r"\r\n|\r|\n")


def solution_end(problem: Problem, tree: ast.Module | None = None) -> int:
    """Offset, in characters, behind the last top-level statement that the function needs.

    The function alone is called: a prefix that ends behind this offset would be the whole answer.
    A statement is needed if it binds what the function uses, directly or through others, or may
    change it; an assert, `if __name__ ...` and what tries the function are not. Without a function
    (stdin) the whole solution is needed.

    Args:
        problem: with its canonical solution.
        tree: of the solution, where the caller has it.

    Raises:
        SyntaxError: Python cannot parse the solution (more exactly, one of `syntax.UNPARSABLE`).
    """
    source, name = problem.solution, problem.fn_name
    if name is None:
        return len(source)
    statements = (tree or parse(source)).body
    root = _root(statements, name)
    if root is None:
        return len(source)
    if root in _bound(statements[-1]):
        return _end(statements[-1], source)
    tables = _tables(source)
    if tables is None:
        return len(source)
    names = {root}
    needed: set[int] = set()
    grown = True
    while grown:
        grown = False
        for number, statement in enumerate(statements):
            if number not in needed and _is_needed(statement, names, root):
                needed.add(number)
                names |= _used(statement, tables)
                grown = True
    return _end(statements[max(needed)], source)


def _end(statement: ast.stmt, source: str) -> int:
    """Offset behind a statement, in characters."""
    starts = [0, *(match.end() for match in _NEWLINE.finditer(source))]
    assert statement.end_lineno is not None
    assert statement.end_col_offset is not None
    line = source[starts[statement.end_lineno - 1] :].encode()[: statement.end_col_offset]
    return starts[statement.end_lineno - 1] + len(line.decode())


def _root(statements: Sequence[ast.stmt], name: str) -> str | None:
    """The top-level name that is called: the function, or the class that has it as a method."""
    if any(name in _bound(statement) for statement in statements):
        return name
    for statement in statements:
        if isinstance(statement, ast.ClassDef) and name in _names_of(statement.body):
            return statement.name
    return None


def _names_of(body: Sequence[ast.stmt]) -> set[str]:
    return {statement.name for statement in body if isinstance(statement, _DEFINITIONS)}


def _tables(source: str) -> dict[str, set[str]] | None:
    """The global names that each top-level definition uses, by its name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            top = symtable.symtable(source, "<solution>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    tables: dict[str, set[str]] = {}
    for table in top.get_children():
        tables.setdefault(table.get_name(), set()).update(_globals(table))
    return tables


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    yield from (symbol.get_name() for symbol in table.get_symbols() if symbol.is_global())
    for child in table.get_children():
        yield from _globals(child)


def _is_needed(statement: ast.stmt, names: set[str], root: str) -> bool:
    if names & _bound(statement):
        return True
    if isinstance(statement, (*_DEFINITIONS, ast.Assert, ast.Import, ast.ImportFrom)):
        return False
    mentioned = _mentioned(statement)
    # What calls the function tries it; what else touches what it uses may fill it.
    return root not in mentioned and "__name__" not in mentioned and bool(names & mentioned)


def _used(statement: ast.stmt, tables: dict[str, set[str]]) -> set[str]:
    """The global names that a statement uses."""
    if not isinstance(statement, _DEFINITIONS):
        return _mentioned(statement)
    used = set(tables.get(statement.name, ()))
    outside: list[ast.AST] = [*statement.decorator_list]
    if isinstance(statement, ast.ClassDef):
        outside += statement.bases
    else:
        outside += [*statement.args.defaults, *filter(None, statement.args.kw_defaults)]
    return used.union(*map(_mentioned, outside))


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a top-level statement binds."""
    if isinstance(statement, _DEFINITIONS):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.If) and "__name__" in _mentioned(statement.test):
        return set()
    return {
        name
        for node in ast.walk(statement)
        for name in (
            [node.id] if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else
            [node.name] if isinstance(node, _DEFINITIONS) else
            [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
            if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        )
    }  # fmt: skip


def _mentioned(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
