"""What a prompt template can say of a problem: its fields."""

import re
from dataclasses import dataclass

from curriculum.problem import Problem
from curriculum.prompts.shown_tests import shown_tests, shows_test
from curriculum.prompts.signature import Signature, parse_open, signature_of

STDIN_INTERFACE = "Write a program that reads its input from stdin and writes its output to stdout."
_STDIN_SAID = re.compile(r"\bstdin\b|\bstandard[ -]input\b", re.IGNORECASE)
_STDOUT_SAID = re.compile(r"\bstdout\b|\bstandard[ -]output\b", re.IGNORECASE)
_UNLIKE_PROSE = re.compile(r"\w+[_A-Z0-9]")
"""A name that no sentence contains by chance: `two_max`, `twoMax`, `f2`."""


@dataclass(frozen=True)
class PromptFields:
    """The fields of a template; every one is defined for every problem."""

    id: str
    """The problem's id."""
    source: str
    """The data set it came from; may be empty."""
    difficulty: str
    """Its tier: `introductory`, `interview` or `competition`."""
    question: str
    """The question, without white space at its ends."""
    stdin: bool
    """Whether the program reads stdin and writes stdout; otherwise a function is called."""
    fn_name: str
    """The function that the tests call; empty for a program on stdin."""
    signature: str
    """The line that begins its definition, `def f(x: int) -> int:`, behind `class Solution:` for a
    method; empty for a program on stdin, and where no code says the parameters."""
    interface: str
    """A sentence that says what will be called and how; empty where question or code say it."""
    starter_code: str
    """Starter code that the answer does not stand behind, to be shown; may be empty."""
    tests: list[str]
    """Tests to show, each as Python; empty where the question shows one, and for stdin."""
    prefix: str
    """The code that the answer continues; it follows the rendered text and is not a part of it."""
    system: str
    """`prompt.system`."""


def fields_of(
    problem: Problem, prefix: str, starter_code: str, tests: int | None, system: str
) -> PromptFields:
    """The fields of one problem.

    Args:
        problem: what is asked.
        prefix: the code that the answer continues.
        starter_code: starter code to show.
        tests: how many tests to show, whatever the question shows; None: one where it shows none.
        system: of the configuration.
    """
    signature = signature_of(problem)
    shown = f"{problem.question}\n{problem.starter_code}"
    wanted = tests if tests is not None else 1
    if signature is None or (tests is None and shows_test(shown, signature.name)):
        wanted = 0
    return PromptFields(
        id=problem.id,
        source=problem.source,
        difficulty=problem.difficulty,
        question=problem.question.strip(),
        stdin=signature is None,
        fn_name=problem.fn_name or "",
        signature=signature.code if signature else "",
        interface=_interface(problem, signature),
        starter_code=starter_code,
        tests=shown_tests(problem, signature, wanted) if signature and wanted else [],
        prefix=prefix,
        system=system,
    )


def names_function(text: str, name: str) -> bool:
    """Whether a prompt says a function's name as such, and not as a word of a sentence."""
    quoted = re.escape(name)
    if _UNLIKE_PROSE.match(name) and re.search(rf"(?<!\w){quoted}(?!\w)", text):
        return True
    announced = rf"\b(?:function|method|named|called) {quoted}\b"
    said = rf"(?<!\w){quoted}\s*\(|[`'\"]{quoted}[`'\"]|{announced}"
    return re.search(said, text) is not None


def _interface(problem: Problem, signature: Signature | None) -> str:
    if signature is None:
        text = problem.question
        said = _STDIN_SAID.search(text) and _STDOUT_SAID.search(text)
        return "" if said else STDIN_INTERFACE
    in_place = problem.result_argument
    change = ""
    if in_place is not None:
        names = signature.names
        which = f"`{names[in_place]}`" if in_place < len(names) else f"number {in_place + 1}"
        change = f" It changes its argument {which} in place; what it returns is not looked at."
    if _said(problem, signature):
        return change.strip()
    return f"{_definition(problem, signature)}{change}"


def _definition(problem: Problem, signature: Signature) -> str:
    kind = "an async function" if signature.is_async else "a function"
    if signature.method:
        kind = "a class `Solution` with the method"
    if signature.parameters is not None:
        return f"Write {kind} `{signature.call}`."
    count = len(problem.tests[0].input) + len(problem.tests[0].kwargs) if problem.tests else None
    arguments = "" if count is None else f" that takes {count} argument{'s' * (count != 1)}"
    return f"Write {kind} `{signature.name}`{arguments}."


def _said(problem: Problem, signature: Signature) -> bool:
    """Whether the question shows a call with arguments, or the starter code the definition."""
    name = re.escape(signature.name)
    if parse_open(problem.starter_code) and re.search(rf"\bdef {name}\s*\(", problem.starter_code):
        return True
    if signature.method:  # a call alone does not say that it is one of a class
        return False
    inside = r"\s*\)" if signature.parameters == "" else r"\s*[^)\s]"
    return re.search(rf"(?<!\w){name}\s*\({inside}", problem.question) is not None
