"""The end of an answer that tries its function: usage examples, tests, a main program."""

from collections.abc import Iterator, Sequence

from curriculum.answer.python.roles import NAME, called_name, defined_names, is_setup, trials
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
    tries = trials(text, statements[first + 1 : last], fn_name)
    tried = [index for index, tries_it in enumerate(tries, first + 1) if tries_it]
    setup = set(_setup_calls(text, statements[:last], tried, fn_name))
    if len(setup) == len(tried):
        return last
    uses = _Uses(text, statements[0].begin, statements[last - 1].end)
    cut = last
    for index in range(last - 1, first, -1):
        if index in setup or (index < tried[0] and index != cut - 1):
            break
        if tries[index - first - 1]:
            cut = index
            continue
        statement = statements[index]
        defined = defined_names(text, statement)
        if any(uses.first[name] < statement.begin for name in defined):
            break
        if index == cut - 1 and any(uses.last[name] >= statement.end for name in defined):
            cut = index
    return cut


def _setup_calls(
    text: str, statements: Sequence[Statement], tried: Sequence[int], fn_name: str
) -> Iterator[int]:
    """Those of the indices `tried` that are calls of functions that only set the program up."""
    calls = {index: called_name(text, statements[index]) for index in tried}
    names = set(calls.values()) - {""}
    helpers = {
        name
        for statement in statements
        if names
        for name in names.intersection(defined_names(text, statement))
        if is_setup(text, statement, fn_name)
    }
    return (index for index, name in calls.items() if name in helpers)


class _Uses:
    """Where the words of a stretch of code stand first and last, those in strings as well."""

    def __init__(self, text: str, begin: int, end: int) -> None:
        found = [(word[0], word.start()) for word in NAME.finditer(text, begin, end)]
        self.last = dict(found)
        self.first = dict(reversed(found))
