r"""Programs: the prefix and a completion as one source, without text that is not code.

The program is always one contiguous range of the completion (`Program.begin` to `end`), so every
byte of the completion has either exactly one place in the program or none. The rules:

1. *Code fences* (lines that begin with three backticks). Behind a prefix inside a fence, or a base
   model's prefix, the program ends at the first fence line before which it parses (backticks in a
   string do not count); an opening fence at the very beginning is left out. Without a prefix, the
   program is the text before the first fence or the first fenced block that, by the rules below,
   defines the requested function (or does anything at all, where no function is requested);
   failing that, it is the first block. Text that parses as it is needs no fences.
2. *Early stop*, where tests call a function. Once the function is defined, a second definition of
   it in the completion (the policy went on to a new question) and everything behind it are left
   out, unless the second is made from the first, as in `f = cache(f)`. Statements at the end that
   only try the program are left out too: `if __name__ == "__main__":`, `print(...)`, `assert`, and
   lone names and texts.
3. *Trailing prose*. Where the program does not parse, and the line at which it fails begins in
   column 0 and reads like a sentence or a list (`_PROSE`), everything from that line on is left out
   if what stands before it is a program: it parses, and defines the function or does anything at
   all.

Anything else stays as it is: a program that does not parse is the policy's mistake and is judged as
one.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from curriculum.problem import Problem, behind_preamble
from curriculum.prompt import Prompt
from curriculum.statements import (
    first_line,
    is_definition,
    is_derived,
    is_text,
    is_trial,
    last_line,
)
from curriculum.syntax import UNPARSABLE, parse

_FENCE_LINE = re.compile(r"^```[^\n`]*(?:\n|\Z)", re.MULTILINE)
_PROSE = re.compile(
    r"[A-Z][a-z']*[,:]?[ ][A-Za-z`\"'(]|[A-Z][a-z']+[.:!?]?[ \t]*$|[-*>] |\d+[.)] |\*\*|<\|",
    re.MULTILINE,
)
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Program:
    """A whole program, and which range of the policy's text is in it."""

    source: str
    """Preamble, prefix, and the completion's bytes from `begin` to `end` (`behind_preamble`)."""
    completion_start: int
    """Byte offset in `source.encode()` at which the completion's range begins."""
    begin: int
    """Byte offset in the completion; what stands before it is not part of the program."""
    end: int
    """Byte offset in the completion; what stands from it on is not part of the program."""

    def source_offset(self, offset: int) -> int | None:
        """Byte offset in the source of a byte of the completion; None for one that is left out."""
        inside = self.begin <= offset < self.end
        return self.completion_start + offset - self.begin if inside else None


def assemble(problem: Problem, prompt: Prompt, completion: str) -> Program:
    """Make the program of a completion by the rules above."""
    begin, end = _fenced_range(problem, prompt, completion)
    end = begin + _code_end(problem, prompt.prefix, completion[begin:end])
    stretch = completion[begin:end]
    source = behind_preamble(problem.preamble, prompt.prefix + stretch)
    begin_byte, length = len(completion[:begin].encode()), len(stretch.encode())
    return Program(
        source=source,
        completion_start=len(source.encode()) - length,
        begin=begin_byte,
        end=begin_byte + length,
    )


def _fenced_range(problem: Problem, prompt: Prompt, completion: str) -> tuple[int, int]:
    """Rule 1: the range of characters that the fences leave."""
    fences = [*_FENCE_LINE.finditer(completion)]
    if not fences or _tree(prompt.prefix + completion) is not None:
        return 0, len(completion)
    if prompt.prefix:
        opens = not prompt.in_code_fence and not completion[: fences[0].start()].strip()
        begin = fences[0].end() if opens else 0
        return begin, _block_end(prompt.prefix, completion, begin, fences[opens:])
    blocks = list(_blocks(completion, fences))
    text_before = (0, fences[0].start())
    for begin, end in (text_before, *blocks):
        code = completion[begin:end]
        tree = _tree(code[: _code_end(problem, "", code)])
        if tree is not None and _is_program(problem, tree):
            return begin, end
    return blocks[0]


def _block_end(prefix: str, completion: str, begin: int, fences: list[re.Match[str]]) -> int:
    """The start of the first fence before which the code parses; failing that, of the first."""
    ends = [fence.start() for fence in fences] or [len(completion)]
    parsing = (end for end in ends if _tree(prefix + completion[begin:end]) is not None)
    return next(parsing, ends[0])


def _blocks(completion: str, fences: list[re.Match[str]]) -> Iterator[tuple[int, int]]:
    """The ranges of the fenced blocks, in order."""
    while fences:
        begin, fences = fences[0].end(), fences[1:]
        end = _block_end("", completion, begin, fences)
        yield begin, end
        fences = [fence for fence in fences if fence.start() > end]


def _code_end(problem: Problem, prefix: str, code: str) -> int:
    """Rules 2 and 3: how many characters of the code behind the prefix are the program."""
    program = prefix + code
    tree, end = _tree(program), len(program)
    if tree is None:
        end = _prose_start(program)
        tree = _tree(program[:end]) if len(prefix) < end < len(program) else None
        if tree is None or not _is_program(problem, tree):
            return len(code)
    body = tree.body
    prefix_lines = len(_LINE_END.findall(prefix)) + (prefix[-1:] not in ("", "\n", "\r"))
    kept = _kept_statements(problem, body, prefix_lines, prose_removed=end < len(program))
    if kept < len(body) and last_line(body[kept - 1]) < first_line(body[kept]):
        line_ends = [match.end() for match in _LINE_END.finditer(program)]
        end = line_ends[last_line(body[kept - 1]) - 1]
    return max(0, end - len(prefix))


def _kept_statements(
    problem: Problem, body: list[ast.stmt], prefix_lines: int, prose_removed: bool
) -> int:
    """How many of a program's statements stay.

    A second definition ends the program only where it begins behind the prefix. Lone texts above
    prose that was removed are prose as well.
    """
    definitions = [i for i, node in enumerate(body) if is_definition(node, problem.fn_name)]
    if definitions:
        repeated = (
            index
            for index in definitions[1:]
            if first_line(body[index]) > prefix_lines
            and not is_derived(body[index], problem.fn_name)
        )
        kept = next(repeated, len(body))
        last_needed, removable = definitions[0], is_trial
    else:
        kept, last_needed, removable = len(body), 0 if prose_removed else len(body), is_text
    while kept > last_needed + 1 and removable(body[kept - 1]):
        kept -= 1
    return kept


def _is_program(problem: Problem, tree: ast.Module) -> bool:
    """Whether the requested function is defined; where none is requested, whether code runs."""
    if problem.fn_name is not None:
        return any(is_definition(node, problem.fn_name) for node in tree.body)
    return any(not is_text(node) for node in tree.body)


def _prose_start(program: str) -> int:
    """The character at which prose begins that does not parse; the program's end if none does."""
    error_line = _error_line(program)
    if error_line is None:
        return len(program)
    starts = [0, *(match.end() for match in _LINE_END.finditer(program))]
    # A sentence whose first words happen to be Python fails to parse on a later line: go back to
    # the line in column 0 where it begins.
    for line in range(min(error_line, len(starts)), 0, -1):
        start = starts[line - 1]
        if program[start : start + 1].strip():
            return start if _PROSE.match(program, start) else len(program)
    return len(program)


def _tree(source: str) -> ast.Module | None:
    try:
        return parse(source)
    except UNPARSABLE:
        return None


def _error_line(source: str) -> int | None:
    """The line, from 1, at which a source fails to parse, where Python names one."""
    try:
        parse(source)
    except SyntaxError as error:
        return error.lineno
    except UNPARSABLE:
        return None
    return None
