r"""Programs: a completion behind the code that was given, without what is no part of a program.

What a policy writes around its program is cut away by these rules; the program is always one
stretch of the completion (`Program.begin` to `end`), so that every byte of the completion either
has one place in the program or is outside it.

1. *Code fences* (a line that begins with three backticks). Behind code given inside a fence, or
   given to a base model, the first fence line that ends a program that parses ends the program
   (backticks in a string do not); an opening fence at the very beginning is left out. With nothing
   given, the program is the text before the first fence or the first fenced block that, by the
   rules below, defines the function asked for (or does anything at all, where none is asked for),
   or else the first block. Text that parses as it is needs no fences.
2. *Early stop*, where tests call a function. Once the function stands there, a second definition
   of it in the completion (the policy went on to a new question) and all behind it is left out,
   unless it is made of the first, as `f = cache(f)` is; and so are
   statements at the end that only try the program: `if __name__ == "__main__":`, `print(...)`,
   `assert`, and lone names and texts.
3. *Trailing prose*. Where the program does not parse and the line at which it fails begins at the
   margin and reads like a sentence or a list (`_PROSE`), all from there on is left out, if what
   stands before it is a program: it parses, and defines the function or does anything at all.

Anything else stays as it is: a program that does not parse is the policy's mistake and is judged as
one.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from curriculum.problem import Problem
from curriculum.prompt import Prompt

_FENCE_LINE = re.compile(r"^```[^\n`]*(?:\n|\Z)", re.MULTILINE)
_PROSE = re.compile(
    r"[A-Z][a-z']*[,:]?[ ][A-Za-z`\"'(]|[A-Z][a-z']+[.:!?]?[ \t]*$|[-*>] |\d+[.)] |\*\*|<\|",
    re.MULTILINE,
)
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Program:
    """A whole program, and which stretch of the policy's text is in it."""

    source: str
    """Preamble, given code, and the completion's bytes from `begin` to `end`."""
    completion_start: int
    """Byte offset in `source.encode()` at which the completion's stretch begins."""
    begin: int
    """Byte offset in the completion; what stands before it is not part of the program."""
    end: int
    """Byte offset in the completion; what stands from it on is not part of the program."""

    def place(self, offset: int) -> int | None:
        """Byte offset in the source of one of the completion's bytes; None for one outside."""
        inside = self.begin <= offset < self.end
        return self.completion_start + offset - self.begin if inside else None


def assemble(problem: Problem, prompt: Prompt, completion: str) -> Program:
    """Make the program of a completion by the rules above."""
    begin, end = _fenced(problem, prompt, completion)
    end = begin + _stop(problem, prompt.given, completion[begin:end])
    given = problem.preamble + prompt.given
    first = len(completion[:begin].encode())
    return Program(
        source=given + completion[begin:end],
        completion_start=len(given.encode()),
        begin=first,
        end=first + len(completion[begin:end].encode()),
    )


def _fenced(problem: Problem, prompt: Prompt, completion: str) -> tuple[int, int]:
    """Rule 1: the stretch of characters that the fences leave."""
    fences = [*_FENCE_LINE.finditer(completion)]
    if not fences or _tree(prompt.given + completion) is not None:
        return 0, len(completion)
    if prompt.given:
        opened = not prompt.fenced and not completion[: fences[0].start()].strip()
        begin = fences[0].end() if opened else 0
        return begin, _closed(prompt.given, completion, begin, fences[opened:])
    blocks = list(_blocks(completion, fences))
    before = (0, fences[0].start())
    for begin, end in (before, *blocks):
        code = completion[begin:end]
        tree = _tree(code[: _stop(problem, "", code)])
        if tree is not None and _is_program(problem, tree):
            return begin, end
    return blocks[0]


def _closed(given: str, completion: str, begin: int, fences: list[re.Match[str]]) -> int:
    """The first fence that ends a program that parses, or the first one."""
    ends = [fence.start() for fence in fences] or [len(completion)]
    parsing = (end for end in ends if _tree(given + completion[begin:end]) is not None)
    return next(parsing, ends[0])


def _blocks(completion: str, fences: list[re.Match[str]]) -> Iterator[tuple[int, int]]:
    """The fenced blocks."""
    while fences:
        begin, fences = fences[0].end(), fences[1:]
        end = _closed("", completion, begin, fences)
        yield begin, end
        fences = [fence for fence in fences if fence.start() > end]


def _stop(problem: Problem, given: str, code: str) -> int:
    """Rules 2 and 3: how many characters of the code behind the given one are the program."""
    program = given + code
    tree, end = _tree(program), len(program)
    if tree is None:
        end = _prose(program)
        tree = _tree(program[:end]) if len(given) < end < len(program) else None
        if tree is None or not _is_program(problem, tree):
            return len(code)
    body = tree.body
    begun = len(_LINE_END.findall(given)) + (given[-1:] not in ("", "\n", "\r"))
    kept = _kept(problem, body, begun, prose=end < len(program))
    if kept < len(body) and _last_line(body[kept - 1]) < _first_line(body[kept]):
        ends = [match.end() for match in _LINE_END.finditer(program)]
        end = ends[_last_line(body[kept - 1]) - 1]
    return max(0, end - len(given))


def _kept(problem: Problem, body: list[ast.stmt], given: int, prose: bool) -> int:
    """How many of a program's statements stay; texts above cut prose never do, nor does anything
    go that begins in the first `given` lines.
    """
    standing = [index for index, node in enumerate(body) if _is_definition(node, problem.fn_name)]
    if standing:
        again = (
            index
            for index in standing[1:]
            if _first_line(body[index]) > given and not _is_made_of(body[index], problem.fn_name)
        )
        kept = next(again, len(body))
        last, tries = standing[0], _only_tries
    else:
        kept, last, tries = len(body), 0 if prose else len(body), _is_text
    while kept > last + 1 and tries(body[kept - 1]):
        kept -= 1
    return kept


def _is_program(problem: Problem, tree: ast.Module) -> bool:
    """Whether the function stands there; where no function is asked for, whether anything does."""
    if problem.fn_name is not None:
        return any(_is_definition(node, problem.fn_name) for node in tree.body)
    return any(not _is_text(node) for node in tree.body)


def _is_definition(node: ast.stmt, fn_name: str | None) -> bool:
    """Whether a statement defines the function, or the class `Solution` that has it as a method.

    Declarations of overloads are none: the function itself follows them.
    """
    if isinstance(node, ast.ClassDef):
        return node.name == "Solution" and any(
            _is_definition(member, fn_name) for member in node.body
        )
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        overload = any("overload" in ast.unparse(one) for one in node.decorator_list)
        return node.name == fn_name and not overload
    if isinstance(node, ast.Assign):
        return any(isinstance(name, ast.Name) and name.id == fn_name for name in node.targets)
    return False


def _is_made_of(node: ast.stmt, fn_name: str | None) -> bool:
    """Whether a statement assigns something made of what the name stood for."""
    if not isinstance(node, ast.Assign) or isinstance(node.value, ast.Lambda):
        return False
    return any(isinstance(one, ast.Name) and one.id == fn_name for one in ast.walk(node.value))


def _only_tries(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Compare) and "__name__" in ast.unparse(node.test)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id == "print"
    return isinstance(node, ast.Assert) or _is_text(node)


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a lone name or text, or `Name: name`."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Name | ast.Constant)


def _last_line(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _prose(program: str) -> int:
    """Where prose begins at which parsing fails, in characters; the program's end if none does."""
    error = _error(program)
    if error is None or error.lineno is None:
        return len(program)
    starts = [0, *(match.end() for match in _LINE_END.finditer(program))]
    # The sentence begins at the failing line or, where its first words are Python, above it.
    for line in range(min(error.lineno, len(starts)), 0, -1):
        start = starts[line - 1]
        if program[start : start + 1].strip():
            return start if _PROSE.match(program, start) else len(program)
    return len(program)


def _tree(source: str) -> ast.Module | None:
    found = _parsed(source)
    return found if isinstance(found, ast.Module) else None


def _error(source: str) -> SyntaxError | None:
    found = _parsed(source)
    return found if isinstance(found, SyntaxError) else None


def _parsed(source: str) -> ast.Module | Exception:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return error
