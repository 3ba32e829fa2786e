"""The end of an answer that tries its function: usage examples, tests, a main program."""

from collections.abc import Sequence
from functools import cached_property

from curriculum.answer.python.roles import (
    NAME,
    called_name,
    defined_names,
    function_name,
    is_setup,
    is_trial,
)
from curriculum.answer.python.statements import Statement


def driver_start(
    text: str, statements: Sequence[Statement], first: int, fn_name: str, last: int
) -> int:
    """The index of the statement at which the driver begins; their number if there is none.

    What tries the function is left out together with all that follows and with the definitions
    directly above that it alone uses. A statement that defines what the code before it uses stays,
    and everything above it too; so does a call that only sets the program up.

    Args:
        text: holds the code.
        statements: of the program.
        first: index of the statement that defines the function: it and those before it stay.
        fn_name: the function.
        last: how many of the statements are looked at.
    """
    program = _Program(text, statements[:last], fn_name)
    cut = last
    between: list[Statement] = []  # what stands between the last trial that is looked at and `cut`
    for index in range(last - 1, first, -1):
        statement = statements[index]
        if is_trial(text, statement, fn_name):
            if program.sets_up(statement) or any(map(program.used_before, between)):
                break
            cut, between = index, []
        elif index == cut - 1 and cut < last and program.used_behind_only(statement):
            cut = index
        else:
            between.append(statement)
    return cut


class _Program:
    """What the statements of a program define, and where its names stand."""

    def __init__(self, text: str, statements: Sequence[Statement], fn_name: str) -> None:
        self._text = text
        self._statements = statements
        self._fn_name = fn_name
        self._setup: dict[str, bool] = {}

    def used_before(self, statement: Statement) -> bool:
        """Whether a statement defines what the code before it uses."""
        names = defined_names(self._text, statement)
        return any(self._first_use[name] < statement.begin for name in names)

    def used_behind_only(self, statement: Statement) -> bool:
        """Whether a statement defines what only the code behind it uses."""
        names = defined_names(self._text, statement)
        return any(self._last_use[name] >= statement.end for name in names) and not any(
            self._first_use[name] < statement.begin for name in names
        )

    def sets_up(self, statement: Statement) -> bool:
        """Whether a statement is a call of a function that only sets the program up."""
        name = called_name(self._text, statement)
        if name not in self._setup:
            self._setup[name] = any(
                is_setup(self._text, each, self._fn_name) for each in self._functions.get(name, ())
            )
        return self._setup[name]

    @cached_property
    def _functions(self) -> dict[str, list[Statement]]:
        functions: dict[str, list[Statement]] = {}
        for statement in self._statements:
            if name := function_name(self._text, statement):
                functions.setdefault(name, []).append(statement)
        return functions

    @cached_property
    def _uses(self) -> list[tuple[str, int]]:
        """The words of the program and where they stand, those in strings as well."""
        begin, end = self._statements[0].begin, self._statements[-1].end
        return [(word[0], word.start()) for word in NAME.finditer(self._text, begin, end)]

    @cached_property
    def _first_use(self) -> dict[str, int]:
        return dict(reversed(self._uses))

    @cached_property
    def _last_use(self) -> dict[str, int]:
        return dict(self._uses)
