"""Problems: a question, its canonical solution and its tests."""

import keyword
import re
from datetime import date
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

Tier = Literal["introductory", "interview", "competition"]
TIERS: tuple[Tier, ...] = get_args(Tier)

Comparison = Literal["exact", "close", "apps", "unordered"]
"""How an output is compared with the expected one, a property of the data set:

- `exact`: Python's `==`, as the asserts of MBPP and HumanEval say it;
- `close`: a list equals a tuple, and a float any number within a millionth of it;
- `apps`: as `close`, and an expected `[x]` also accepts `x`;
- `unordered`: as `close`, and the outermost list may come in any order.
"""


class Test(BaseModel):
    """One call of the solution's function, or one run of its program, with the expected result."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    __test__: ClassVar[bool] = False  # keeps pytest from collecting it by its name

    input: Any
    """Call-based: the list of positional arguments. Program: the whole of stdin, a string."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments; call-based tests only."""
    output: Any
    """The expected return value, or the expected stdout as a string."""


class Assertions(BaseModel):
    """Tests that are code, as in HumanEval and MBPP, run in the program's process.

    They contain the expected results, which thereby enter the container: a hostile program can read
    them or report that every assertion holds. Verdicts on them have `trusted_tests=False`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    statements: tuple[str, ...] = Field(min_length=1)
    """Python; each statement is one test, executed in the program's namespace. It passes if it does
    not raise, and fails if the statement itself raises AssertionError."""
    setup: str = ""
    """Python, executed once after the program and before the first statement."""

    @classmethod
    def of_check(cls, test: str, entry_point: str) -> Self:
        """HumanEval's form, as one test: `test` defines `check(candidate)`."""
        return cls(setup=test, statements=(f"check({entry_point})",))

    @field_validator("setup")
    @classmethod
    def _setup_compiles(cls, setup: str) -> str:
        return _require_python(setup, "setup")

    @field_validator("statements")
    @classmethod
    def _statements_compile(cls, statements: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_require_python(text, f"statement {i}") for i, text in enumerate(statements))


class Checker(BaseModel):
    """A program that decides whether an output is right, where several outputs are.

    It runs in a sandbox slot of its own, never beside the policy's program.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    source: str = Field(min_length=1)
    """Python; run as `python3 checker.py INPUT EXPECTED ACTUAL`, three paths of files. It says yes
    by printing `1`, `yes`, `true` or `ok` as its last word, or by ending with status 0 without
    printing anything."""


class Problem(BaseModel):
    """One programming problem with a correct solution.

    The solution is a whole program: run after the preamble, it defines `fn_name` (call-based) or
    reads stdin and writes stdout (`fn_name` is None).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str = Field(min_length=1)
    """Unique within a data set; the curriculum's state is keyed by it."""
    question: str
    """What the model is asked, as text (a comment block where the model continues Python)."""
    starter_code: str = ""
    """Code every answer begins with; most useful when the solution begins with it."""
    preamble: str = ""
    """Imports and helpers, as whole lines, that stand before every program of this problem; neither
    cut nor shown to the policy."""
    solution: str
    """A whole program known to be right, the canonical solution; the curriculum cuts it. Empty
    where a data set publishes none: then the problem is only asked whole."""
    fn_name: str | None = None
    """Function, or method of a class `Solution`, that the tests call; None for a program tested on
    stdin and stdout."""
    assertions: Assertions | None = None
    """Instead of `tests`, where a data set's tests are code; less trustworthy, see there."""
    tests: tuple[Test, ...] = Field(default=(), validate_default=True)
    """At least one, unless there are `assertions`: a problem without tests cannot be judged."""
    comparison: Comparison = "close"
    """How outputs are compared with the expected ones."""
    checker: Checker | None = None
    """Decides instead of `comparison`; programs on stdin only."""
    time_limit: float | None = Field(default=None, gt=0)
    """Seconds that the data set gives each test: the sandbox's limits are raised to hold them, and
    a program on stdin may take no longer for one."""
    result_argument: int | None = Field(default=None, ge=0)
    """Position of the argument whose value after the call is compared instead of the returned
    value, for functions that change it in place; None compares what is returned."""
    difficulty: Tier = "introductory"
    """Tier by which results are reported."""
    source: str = ""
    """The data set it came from."""
    published: date | None = None
    """When it became public, where the data set says so: results are reported by date as well."""

    @property
    def program(self) -> str:
        """The solution behind its preamble: a program that passes the tests."""
        return behind_preamble(self.preamble, self.solution)

    def program_of(self, code: str) -> str:
        """The program that is run of somebody's code: behind the preamble, unless it has it."""
        has_it = code.startswith(self.preamble)
        return code if has_it else behind_preamble(self.preamble, code)

    @field_validator("id", mode="before")
    @classmethod
    def _as_text(cls, id: Any) -> Any:
        return str(id) if type(id) is int else id

    @field_validator("id", "question", "starter_code", "preamble", "solution")
    @classmethod
    def _can_be_written(cls, text: str) -> str:
        return _require_unicode(text)

    @field_validator("fn_name", mode="before")
    @classmethod
    def _a_name(cls, fn_name: Any) -> Any:
        return function_name(fn_name) if isinstance(fn_name, str) else fn_name

    @field_validator("preamble")
    @classmethod
    def _whole_lines(cls, preamble: str) -> str:
        if preamble and not preamble.endswith("\n"):
            raise ValueError("must end with a newline: the solution follows on a line of its own")
        return preamble

    @model_validator(mode="after")
    def _tested_one_way(self) -> Self:
        if self.checker is not None and (self.fn_name is not None or not self.tests):
            raise ValueError("a checker reads what a program on stdin prints: leave out fn_name")
        if self.result_argument is not None and (self.fn_name is None or not self.tests):
            raise ValueError("result_argument needs fn_name and tests")
        return self

    @field_validator("tests")
    @classmethod
    def _tests_fit_the_calling_convention(
        cls, tests: tuple[Test, ...], info: ValidationInfo
    ) -> tuple[Test, ...]:
        if "fn_name" not in info.data:  # already reported as wrong itself
            return tests
        call_based = info.data["fn_name"] is not None
        if bool(tests) == (info.data.get("assertions") is not None):
            raise ValueError(
                "must be left out beside assertions" if tests else "at least 1 test is needed"
            )
        for index, test in enumerate(tests):
            kind = type(test.input).__name__
            if call_based and kind != "list":
                raise ValueError(f"tests[{index}].input must be a list of arguments, not {kind}")
            if not call_based and not (
                isinstance(test.input, str) and isinstance(test.output, str)
            ):
                raise ValueError(
                    f"tests[{index}] of a stdin program needs string input and output; a function "
                    "that the tests call is named by fn_name"
                )
            if call_based:
                continue
            for text in (test.input, test.output):
                _require_unicode(text)
            if test.kwargs:
                raise ValueError(f"tests[{index}].kwargs: a stdin program takes no arguments")
        return tests


def _require_unicode(text: Any) -> Any:
    """A text again; JSON can hold half of an emoji, which nothing can encode or print."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"not Unicode: half of a character at {error.start}") from None
    return text


def function_name(text: str) -> str:
    """The name in a text that calls it or reaches it through `Solution`.

    Example:
        >>> function_name("Solution().climb"), function_name("two_max()")
        ('climb', 'two_max')

    Raises:
        ValueError: no function can have such a name.
    """
    match = re.fullmatch(r"(?:Solution(?:\(\))?\.)?(\w+)(?:\([^()]*\))?:?", text.strip())
    name = match[1] if match else ""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{text!r} is no name of a function")
    return name


def behind_preamble(preamble: str, code: str) -> str:
    r"""The program of `code` behind a preamble; its last bytes stand for those of `code`, in place.

    Python wants `from __future__` imports first. Those at the head of `code` are therefore written
    before the preamble, and stand as `pass`, filled up to the same number of bytes, in `code`.

    Example:
        >>> behind_preamble("import os\n", "from __future__ import division\nx = 1\n")
        'from __future__ import division\nimport os\npass                           \nx = 1\n'
    """
    if not preamble:
        return code
    imports: list[str] = []
    parts: list[str] = []
    at = 0
    while match := _HEAD.match(code, at):
        statement = match["future"]
        if statement:
            imports.append(f"{statement}\n")
        parts.append(_blanked(statement) if statement else match[0])
        at = match.end()
    return "".join([*imports, preamble, *parts, code[at:]]) if imports else preamble + code


_HEAD = re.compile(
    r"""
    [ \t\f]*(?:\#[^\n]*|\r)?\n                  # a blank line or a comment
    | (?:[rRuU]?\"{3}(?:[^"\\]|\\.|"(?!""))*"{3}  # a docstring
      | [rRuU]?'{3}(?:[^'\\]|\\.|'(?!''))*'{3}
      | [rRuU]?"(?!")(?:[^"\\\n]|\\.)*"
      | [rRuU]?'(?!')(?:[^'\\\n]|\\.)*'
      )[ \t]*(?:;[ \t]*|(?=\#|\r?\n|\Z))
    | (?P<future>from[ \t]+__future__[ \t]+import\b[ \t]*(?:\([^)]*\)|(?:[^\n;\#\\]|\\\n)*))
    | [ \t]*;[ \t]*                            # between statements on one line
    """,
    re.VERBOSE | re.DOTALL,
)
"""What may stand before or between `from __future__` imports, or one of them."""


def _blanked(statement: str) -> str:
    blank = "".join("\n" if char == "\n" else " " * len(char.encode()) for char in statement)
    return "pass" + blank[4:]


def _require_python(text: str, what: str) -> str:
    try:
        compile(text, what, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{what} is not Python: {error}") from None
    return text
