"""What a top-level statement does: defines the function asked for, tries it, reads or prints."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from curriculum.answer.python.statements import Statement, split

_DECORATORS = re.compile(r"(?:@[^\r\n]*(?:\r\n|\r|\n)(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))*+)*+")
_DEFINED = re.compile(r"(?:async[ ]+)?(?P<kind>def|class)[ ]+(?P<name>\w+)")
_TARGETS = re.compile(
    r"(?P<names>[A-Za-z_]\w*(?:[ ]*,[ ]*[A-Za-z_]\w*)*)[ ]*"
    r"(?::[^=\r\n]+)?(?:[-+*/%&|^]|//|\*\*|<<|>>)?=(?!=)"
)
_IMPORTED = re.compile(r"(?:from[ ]+[\w.]+[ ]+)?import[ ]+(?P<names>[^\r\n#;]+)")
_COMPOUND = re.compile(r"(?:if|try|with|else|match)\b")
_GUARD = re.compile(r"if[ (]+(?:__name__|['\"]__main__)")
_TEXT = (
    r"(?s:(?:[A-Za-z_]\w*+[ \t]*+(?::[ \t]*+[A-Za-z_]\w*+)?+|-?[\d.]++"
    r"|[rRbBuU]?(?:'''.*'''|\"\"\".*\"\"\"|'[^'\r\n]*'|\"[^\"\r\n]*\"))\s*+"
    r"(?:#[^\r\n]*+\s*+)?+\Z)"
)
_LONE_TEXT = re.compile(_TEXT)


def _word(word: str) -> str:
    r"""As `\b` before the word, but a search looks for its first letter, which is much faster."""
    return rf"{word}(?<!\w{word})"


_READ = "|".join(
    (
        rf"(?:{_word('input')}|{_word('raw_input')})[ ]*\(",
        rf"(?:{_word('stdin')}|{_word('fileinput')}|{_word('argv')})\b",
        rf"{_word('open')}\((?:0\b|['\"]/dev/stdin)",
        rf"{_word('os')}\.read\(",
    )
)
_READS = re.compile(_READ)
_PRINTS = re.compile(
    "|".join(
        (
            rf"(?:{_word('print')}|{_word('stdout')}|{_word('pprint')}|{_word('__stdout__')})\b",
            rf"{_word('os')}\.write\(",
            rf"{_word('open')}\(1\b",
            rf"{_word('sys')}\.exit\(['\"\w]",
        )
    )
)
_ROLE = re.compile(
    r"(?P<test>def[ ]+test_?\w*\(|class[ ]+\w+\([^)]*TestCase)"
    r"|(?P<defines>(?:async[ ]+)?(?:def|class)[ ]+\w)"
    r"|(?P<tries>(?:assert|raise)\b|[A-Za-z_]\w*+\(|(?:doctest|unittest|pytest|timeit|pprint|plt)\."
    r"|sys\.(?:exit|stdout)|(?:from[ ]+)?import[ ]+(?:unittest|pytest|doctest|timeit)\b"
    r"|from[ ]+(?:unittest|pytest|hypothesis)\b|if[ (]+(?:__name__|['\"]__main__)"
    rf"|{_TEXT})"
)
"""How a statement begins that only tries a function, and how one that defines something."""
_CALL = re.compile(r"(?P<name>[A-Za-z_]\w*)\(")
_CHANGES = re.compile(
    r"^[ \t]+(?:global\b|[A-Za-z_][\w.]*(?:\[[^\r\n=]*\][^\r\n=]{0,4}=(?!=)|\.\w+\())", re.MULTILINE
)
_STUB = re.compile(
    r"(?:\.\.\.|\bpass|\braise[ ]+NotImplementedError[^\r\n]*)\s*(?:#[^\r\n]*\s*)?\Z"
)
_LONGEST_STUB = 300
"""Characters at the end of a statement that tell whether it is one."""
_DOCSTRING = re.compile(r"\"\"\".*?\"\"\"|'''.*?'''", re.DOTALL)
_LEAVES = re.compile(r"(?:^|:)[ \t]*(?:return|yield|raise)\b")
_ENTRY = re.compile(r"(?:_*main|tests?|run|demo|examples?)(?:_|\Z)", re.IGNORECASE)
_ASSERTS = re.compile(r"\bassert\b|\bassert[A-Z]\w*\(|\bunittest\.|\bdoctest\.")
NAME = re.compile(r"[^\W\d]\w*")
"""A word that may be a name."""


def defined_names(text: str, statement: Statement) -> list[str]:
    """The names that a statement defines, imports or assigns at its beginning."""
    at = _head(text, statement)
    if found := _DEFINED.match(text, at, statement.end):
        return [found["name"]]
    if found := _TARGETS.match(text, at, statement.end):
        return NAME.findall(found["names"])
    if found := _IMPORTED.match(text, at, statement.end):
        return [word for word in NAME.findall(found["names"]) if word != "as"]
    return []


def defining(text: str, statements: Sequence[Statement], fn_name: str) -> Iterator[int]:
    """The indices of the statements that define the function, in order.

    They define it, or a class `Solution` with it as a method. A declaration of an overload does not
    count: the function itself follows it.
    """
    named = _names(fn_name).search
    for index, each in enumerate(statements):
        code = each.closed and not each.prose
        if code and named(text, each.begin, each.end) and _defines(text, each, fn_name):
            yield index


def _defines(text: str, statement: Statement, fn_name: str) -> bool:
    at = _head(text, statement)
    found = _DEFINED.match(text, at, statement.end)
    if found is not None:
        if found["kind"] == "def" and found["name"] == fn_name:
            return "overload" not in text[statement.begin : at]
        in_class = found["kind"] == "class" and found["name"] == "Solution"
        return in_class and _inner(fn_name).search(text, at, statement.end) is not None
    assigned = _TARGETS.match(text, at, statement.end)
    if assigned is not None:
        return (
            fn_name in NAME.findall(assigned["names"])
            or _also(fn_name).match(text, at, statement.end) is not None
        )
    compound = _COMPOUND.match(text, at, statement.end)
    if compound is None or _GUARD.match(text, at, statement.end):
        return False
    return _inner(fn_name).search(text, at, statement.end) is not None


def defines_function(source: str, fn_name: str) -> bool:
    """Whether a program defines or imports a function, or has it as a method of `Solution`."""
    statements = split(source)
    return any(True for _ in defining(source, statements, fn_name)) or any(
        each.closed and fn_name in defined_names(source, each) for each in statements
    )


def is_definition(text: str, statement: Statement) -> bool:
    """Whether a statement is a function or a class."""
    return _DEFINED.match(text, _head(text, statement), statement.end) is not None


def is_return(line: str) -> bool:
    """Whether a line of a function may be its last: it leaves the function."""
    return _LEAVES.search(line) is not None


def is_stub(text: str, statement: Statement) -> bool:
    """Whether a statement only declares a function: nothing stands in it but `...` or `pass`."""
    begin, end = _head(text, statement), statement.end
    if _STUB.search(text, max(begin, end - _LONGEST_STUB), end) is None:
        return False
    code = _DOCSTRING.sub("", text[begin:end])
    lines = [line.strip() for line in code.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", "class ", "@"))]
    return len(lines) == 1 or (
        lines[-2].endswith(":") and not any(line.endswith(":") for line in lines[:-2])
    )


def is_derived(text: str, statement: Statement, fn_name: str) -> bool:
    """Whether a statement assigns a value made from the function, as `f = cache(f)` does."""
    assigned = _TARGETS.match(text, statement.begin, statement.end)
    if assigned is None:
        return False
    value = text[assigned.end() : statement.end]
    return not value.lstrip().startswith("lambda") and fn_name in NAME.findall(value)


def is_text(text: str, statement: Statement) -> bool:
    """Whether a statement is a lone name, number or string, which does nothing."""
    return _LONE_TEXT.match(text, statement.begin, statement.end) is not None


def is_trial(text: str, statement: Statement, fn_name: str) -> bool:
    """Whether a statement only tries the function, or drives it from stdin.

    A main guard, an assert, a print, a call of any function, a test case, or what reads stdin or
    calls the function outside a definition.
    """
    begin, end = statement.begin, statement.end
    role = _ROLE.match(text, begin, end)
    if role is not None:
        return role.lastgroup != "defines"
    uses = _drives(fn_name).search(text, begin, end) or (
        statement.body and _PRINTS.search(text, begin, end)
    )
    return bool(uses) and not is_definition(text, statement)


def called_name(text: str, statement: Statement) -> str:
    """The name of the function that a statement calls without more; empty where it is no call."""
    found = _CALL.match(text, statement.begin, statement.end)
    return found["name"] if found else ""


def function_name(text: str, statement: Statement) -> str:
    """The name of the function that a statement defines; empty where it defines none."""
    found = _DEFINED.match(text, _head(text, statement), statement.end)
    return found["name"] if found and found["kind"] == "def" else ""


def is_setup(text: str, statement: Statement, fn_name: str) -> bool:
    """Whether a statement defines a function that fills what others use, as a sieve does.

    It changes something outside itself, and neither reads, prints, asserts nor calls the function
    asked for.
    """
    at, end = _head(text, statement), statement.end
    name = function_name(text, statement)
    if not name or _ENTRY.match(name):
        return False
    others = (_READS, _PRINTS, _ASSERTS, _call(fn_name))
    return _CHANGES.search(text, at, end) is not None and not any(
        each.search(text, at, end) for each in others
    )


def reads(text: str, statement: Statement) -> bool:
    """Whether a statement reads stdin."""
    return _READS.search(text, statement.begin, statement.end) is not None


def prints(text: str, statement: Statement) -> bool:
    """Whether a statement writes to stdout."""
    return _PRINTS.search(text, statement.begin, statement.end) is not None


def _head(text: str, statement: Statement) -> int:
    """Where a statement begins behind its decorators."""
    if text[statement.begin] != "@":
        return statement.begin
    found = _DECORATORS.match(text, statement.begin, statement.end)
    return found.end() if found else statement.begin


@lru_cache(maxsize=256)
def _names(fn_name: str) -> re.Pattern[str]:
    """What stands in every statement that may define the function."""
    name = re.escape(fn_name)
    return re.compile(rf"{_word('def')}[ ]+{name}\b|{_word(name)}[ ]*(?:[,:]|[-+*/%&|^<>]{{0,2}}=)")


@lru_cache(maxsize=256)
def _inner(fn_name: str) -> re.Pattern[str]:
    name = re.escape(fn_name)
    return re.compile(rf"^[ \t]+(?:async[ ]+)?(?:def[ ]+{name}\b|{name}[ ]*=[^=])", re.MULTILINE)


@lru_cache(maxsize=256)
def _call(fn_name: str) -> re.Pattern[str]:
    return re.compile(rf"{_word(re.escape(fn_name))}[ ]*\(")


@lru_cache(maxsize=256)
def _drives(fn_name: str) -> re.Pattern[str]:
    """A call of the function, or what reads stdin."""
    return re.compile(rf"{_call(fn_name).pattern}|{_READ}")


@lru_cache(maxsize=256)
def _also(fn_name: str) -> re.Pattern[str]:
    return re.compile(rf"[A-Za-z_][\w., ]*=[ ]*{re.escape(fn_name)}[ ]*=(?!=)")
