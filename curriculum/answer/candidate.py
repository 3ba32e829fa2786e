"""A candidate: a block of an answer read as a program, and what of it would be left out."""

import re
from dataclasses import dataclass, field
from functools import cached_property

from curriculum.answer.markdown.languages import is_language
from curriculum.answer.markdown.spans import Span
from curriculum.answer.markdown.view import View
from curriculum.answer.python.driver import driver_start
from curriculum.answer.python.grammar import is_python, is_valid
from curriculum.answer.python.roles import (
    defining,
    is_definition,
    is_derived,
    is_return,
    is_stub,
    is_text,
    prints,
    reads,
)
from curriculum.answer.python.statements import Statement, before_closers, last_line, split
from curriculum.program import Rule

_LONGEST_END = 4096
"""Characters of a last statement that is parsed to see whether it is finished."""
MAIN, PART = 2, 1
"""How whole a program is: one that defines the function, or reads and prints; one that only reads
or only prints. 0 is none."""


@dataclass
class Candidate:
    """A stretch of a view's code."""

    view: View
    """The block."""
    floor: int
    """Characters of the code that the prompt has given."""
    begin: int
    """Where the program's stretch begins in the code."""
    end: int
    """Where it ends."""
    whole: int = 0
    """`MAIN`, `PART` or 0."""
    fenced: bool = False
    """Whether it stands in a fence."""
    kept: list[Statement] = field(default_factory=list[Statement])
    """The statements in it."""
    spans: list[Span] = field(default_factory=list[Span])
    """What is left out of the code, in order."""
    cut_off: bool = False
    """Whether the answer ends in its last definition, which looks as if more was to come."""

    @cached_property
    def valid(self) -> bool:
        """Whether it is Python."""
        return is_valid(self.view.code, self.kept)


class CodeReader:
    """Reads blocks for one function, or for a program on stdin where there is none."""

    def __init__(self, fn_name: str | None) -> None:
        self._fn_name = fn_name

    def read(self, view: View, *, floor: int = 0, fenced: bool, finished: bool) -> Candidate:
        """The program in a block.

        Args:
            view: the block; behind a prefix, the prefix and the block.
            floor: length of the prefix.
            fenced: whether it stands in a fence, so that all of it is meant to be code.
            finished: whether something follows it, so that the policy ended it itself.
        """
        code = view.code
        start = 0 if floor else _behind_language_word(code)
        statements = split(code, start)
        for statement in statements:
            if statement.begin < floor:
                statement.prose = False
        runs = _runs(statements)
        if floor:
            runs = runs[:1]
        chosen, whole = 0, 0
        for index, (first, stop) in enumerate(runs):
            level = self._whole(code, statements[first:stop])
            if level and level >= whole:
                chosen, whole = index, level
        if not whole:
            return self._as_it_is(view, floor, start, statements)
        first, stop = runs[chosen]
        candidate = Candidate(view, floor, start, len(code), whole, fenced)
        self._cut_around(candidate, statements, first, stop)
        at_end = stop == len(statements) and not finished
        self._cut_end(candidate, statements[first:stop], at_end, repeats=not fenced or floor > 0)
        candidate.cut_off = at_end and self._is_cut_off(code, candidate.kept, statements[-1])
        return candidate

    def may_define(self, text: str, prefix: str) -> bool:
        """Whether a text may hold the whole program that begins with the prefix, written anew."""
        if self._fn_name is not None:
            header = rf"^(?:(?:async )?def {re.escape(self._fn_name)}\b|class Solution\b)"
            return re.search(header, text, re.MULTILINE) is not None
        first_line = prefix.strip().partition("\n")[0].strip()
        return bool(first_line) and first_line in text

    def _as_it_is(
        self, view: View, floor: int, start: int, statements: list[Statement]
    ) -> Candidate:
        spans = [Span(0, start, "language word")] if start else []
        return Candidate(view, floor, start, len(view.code), 0, False, statements, spans)

    def _whole(self, code: str, statements: list[Statement]) -> int:
        """How whole a program some statements are."""
        if self._fn_name is not None:
            level = 0
            for index in defining(code, statements, self._fn_name):
                if not is_stub(code, statements[index]):
                    return MAIN
                level = PART
            return level
        closed = [each for each in statements if each.closed]
        spoken = any(prints(code, each) for each in closed)
        heard = any(reads(code, each) for each in closed)
        return MAIN if spoken and heard else PART if spoken or heard else 0

    def _cut_around(
        self, candidate: Candidate, statements: list[Statement], first: int, stop: int
    ) -> None:
        """Leave out the prose before and behind the chosen run."""
        code, start = candidate.view.code, candidate.begin
        if start:
            candidate.spans.append(Span(0, start, "language word"))
        if first or (candidate.view.places[0] and not candidate.floor and not candidate.fenced):
            before = statements[first - 1].end if first else start
            begin = min(_behind_blank_lines(code, before), statements[first].begin)
            candidate.spans.append(Span(start, begin, "prose"))
            candidate.begin = begin
        last = statements[stop - 1]
        end = last.end if candidate.fenced else before_closers(code, last)
        closers, last.end = end < last.end, end
        if stop < len(statements) or closers:
            candidate.end = max(last_line(code, last)[1], candidate.floor)
            candidate.spans.append(Span(candidate.end, len(code), "prose"))

    def _cut_end(
        self, candidate: Candidate, statements: list[Statement], at_end: bool, repeats: bool
    ) -> None:
        """Leave out what the run's end holds beyond the program."""
        code = candidate.view.code
        kept = len(statements)
        if at_end and self._breaks_off(code, statements):
            kept -= 1
            self._cut_from(candidate, statements, kept, "unfinished")
        if self._fn_name is not None:
            definitions = [*defining(code, statements[:kept], self._fn_name)]
            needed = definitions[0]
            if repeats:
                repetition = self._repetition(code, statements, definitions, candidate.floor)
                if repetition is not None:
                    kept = repetition
                    self._cut_from(candidate, statements, kept, "repetition")
            needed = max(index for index in definitions if index < kept)
            needed = self._first_equal(code, statements, definitions, needed)
            trial = driver_start(code, statements, needed, self._fn_name, kept)
        else:
            trial = kept
            if candidate.end < len(code) or not candidate.fenced:
                while trial > 1 and is_text(code, statements[trial - 1]):
                    trial -= 1
        while trial < kept and statements[trial].begin < candidate.floor:
            trial += 1
        if trial < kept:
            kept = trial
            rule = "driver" if self._fn_name is not None else "prose"
            self._cut_from(candidate, statements, kept, rule)
        candidate.kept = statements[:kept]

    def _first_equal(
        self, code: str, statements: list[Statement], definitions: list[int], last: int
    ) -> int:
        """The last definition that is not merely made from the one before it."""
        assert self._fn_name is not None
        for index in reversed([each for each in definitions if each <= last]):
            if not is_derived(code, statements[index], self._fn_name):
                return index
        return last

    def _breaks_off(self, code: str, statements: list[Statement]) -> bool:
        """Whether the last statement is unfinished, and the others are a program without it."""
        last, others = statements[-1], statements[:-1]
        if not others or self._whole(code, others) < self._whole(code, statements):
            return False
        if not last.closed:
            return not last.bare or is_python(code[last.begin : last.end])
        if last.end - last.begin > _LONGEST_END or code[last.end - 1] in "\r\n":
            return False
        return not is_python(code[last.begin : last.end])

    def _is_cut_off(self, code: str, kept: list[Statement], last: Statement) -> bool:
        """Whether the last statement of an answer is a definition without its end, or its call."""
        if not kept or kept[-1] is not last or not is_definition(code, last):
            return False
        if self._fn_name is None:
            return True
        line = code[code.rfind("\n", 0, last.end - 1) + 1 : last.end]
        return [*defining(code, [last], self._fn_name)] != [] and not is_return(line)

    def _repetition(
        self, code: str, statements: list[Statement], definitions: list[int], floor: int
    ) -> int | None:
        """The second definition, if it begins behind the prefix and is a new one.

        A definition of which the prefix holds everything is given code that the policy repeats
        whole: then the repeated one counts.
        """
        assert self._fn_name is not None
        first = statements[definitions[0]]
        if floor and not code[floor : max(floor, first.end)].strip():
            definitions = definitions[1:]
        for index in definitions[1:]:
            statement = statements[index]
            if statement.begin >= floor and not is_derived(code, statement, self._fn_name):
                return index
        return None

    def _cut_from(
        self, candidate: Candidate, statements: list[Statement], kept: int, rule: Rule
    ) -> None:
        """End the stretch behind the first `kept` statements."""
        code = candidate.view.code
        end = max(last_line(code, statements[kept - 1])[1], candidate.floor)
        if end < candidate.end:
            candidate.spans.insert(
                sum(span.begin < end for span in candidate.spans), Span(end, candidate.end, rule)
            )
            candidate.end = end


def _runs(statements: list[Statement]) -> list[tuple[int, int]]:
    """First and last index (exclusive) of the statements between prose."""
    runs: list[tuple[int, int]] = []
    first = 0
    for index, statement in enumerate(statements):
        if statement.prose:
            if first < index:
                runs.append((first, index))
            first = index + 1
    if first < len(statements):
        runs.append((first, len(statements)))
    return runs


def _behind_language_word(code: str) -> int:
    """The offset behind a language's name on a line of its own above the code."""
    line = code.lstrip().partition("\n")[0]
    if not line.strip() or len(line.split()) != 1 or not is_language(line.strip()):
        return 0
    at = code.index(line) + len(line)
    return min(len(code), at + 1)


def _behind_blank_lines(code: str, at: int) -> int:
    """The beginning of the first line from an offset on that is not blank."""
    rest = code[at:]
    blank = len(rest) - len(rest.lstrip())
    return max(at, code.rfind("\n", at, at + blank) + 1)
