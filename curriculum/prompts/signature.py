r"""How a problem's function is called: its name and parameters, as its code defines them."""

import ast
import re
from dataclasses import dataclass

from curriculum.problem import Problem
from curriculum.syntax import UNPARSABLE, parse

_INDENT = re.compile(r"[ \t]*")


@dataclass(frozen=True)
class Signature:
    """The interface of one function, or of one method of a class `Solution`."""

    name: str
    parameters: str | None
    """What stands between the parentheses, without `self`; None where no code says it."""
    returns: str = ""
    """The annotation of the returned value; empty where there is none."""
    method: bool = False
    """Whether it is a method of a class `Solution`."""
    is_async: bool = False
    """Whether it is defined by `async def`."""

    @property
    def call(self) -> str:
        """Name and parameters as in a definition, `f(x: int) -> int`; the name alone if unknown."""
        if self.parameters is None:
            return self.name
        returned = f" -> {self.returns}" if self.returns else ""
        return f"{self.name}({self.parameters}){returned}"

    @property
    def code(self) -> str:
        """The line or lines that begin the definition; empty where the parameters are unknown."""
        if self.parameters is None:
            return ""
        receiver = ", ".join(filter(None, ["self" if self.method else "", self.parameters]))
        returned = f" -> {self.returns}" if self.returns else ""
        keyword = "async def" if self.is_async else "def"
        line = f"{keyword} {self.name}({receiver}){returned}:"
        return f"class Solution:\n    {line}" if self.method else line

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in order; empty where they are unknown."""
        if not self.parameters:
            return ()
        tree = parse(f"def f({self.parameters}): pass").body[0]
        assert isinstance(tree, ast.FunctionDef)
        found = tree.args
        return tuple(a.arg for a in (*found.posonlyargs, *found.args, *found.kwonlyargs))


def signature_of(problem: Problem) -> Signature | None:
    """The signature of the function that the tests call; None for a program on stdin.

    The starter code is asked first, because it is what the problem's author shows, then the
    solution, which may define the function by `def`, by a lambda or by an import.
    """
    if problem.fn_name is None:
        return None
    for source in (problem.starter_code, problem.solution):
        found = _in_source(source, problem.fn_name)
        if found is not None:
            return found
    return Signature(problem.fn_name, None)


def _in_source(source: str, name: str) -> Signature | None:
    tree = parse_open(source)
    if tree is None:
        return None
    found: Signature | None = None
    for node in tree.body:  # the last definition of a name is the one that is called
        if isinstance(node, ast.ClassDef) and node.name == "Solution":
            methods = (_of_statement(member, name, method=True) for member in node.body)
            found = next((m for m in methods if m is not None), found)
        else:
            found = _of_statement(node, name, method=False) or found
    return found


def parse_open(source: str) -> ast.Module | None:
    """The tree of code that may end behind a header, as starter code does; None if there is none.

    Parses no more than three times: as it is, with a suite below the last line, and with one at the
    last line's own indentation.
    """
    text = source.rstrip()
    if not text:
        return None
    line = text.rsplit("\n", 1)[-1]
    indent = _INDENT.match(line)
    assert indent is not None
    deeper = f"{indent[0]}    "
    for completed in (source, f"{text}\n{deeper}pass\n", f"{text}\n{indent[0]}pass\n"):
        try:
            return parse(completed)
        except UNPARSABLE:
            continue
    return None


def _of_statement(node: ast.stmt, name: str, method: bool) -> Signature | None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
        returns = ast.unparse(node.returns) if node.returns else ""
        is_async = isinstance(node, ast.AsyncFunctionDef)
        bound = method and not _is_static(node)
        return Signature(name, _parameters(node.args, bound), returns, method, is_async)
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Lambda):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return Signature(name, _parameters(node.value.args, bound=False), method=method)
    return None


def _parameters(arguments: ast.arguments, bound: bool) -> str:
    """The parameters as text, without the first one of a bound method."""
    if bound:
        for group in (arguments.posonlyargs, arguments.args):
            if group:
                del group[0]
                break
    return ast.unparse(arguments)


def _is_static(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
