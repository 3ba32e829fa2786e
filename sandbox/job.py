"""What goes into the sandbox."""

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from curriculum.problem import Test
from sandbox.config import Limits


class Assertions(BaseModel):
    """Tests that are code, as HumanEval and MBPP have them, run beside the program.

    They hold what is expected, so that it enters the container: a hostile program can read it or
    state that all is well. Verdicts on them say `trusted_tests: false`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    statements: tuple[str, ...] = Field(min_length=1)
    """Python, each a test of its own; run among the program's names. It passes if it does not
    raise, and fails if it raises AssertionError itself."""
    setup: str = ""
    """Python, run once between the program and the first statement."""

    @classmethod
    def of_check(cls, test: str, entry_point: str) -> "Assertions":
        """HumanEval's form: `test` defines `check(candidate)`; one test in all."""
        return cls(setup=test, statements=(f"check({entry_point})",))

    @field_validator("setup")
    @classmethod
    def _setup_compiles(cls, setup: str) -> str:
        return _compiled(setup, "setup")

    @field_validator("statements")
    @classmethod
    def _statements_compile(cls, statements: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_compiled(text, f"statement {i}") for i, text in enumerate(statements))


class Job(BaseModel):
    """One program and the tests to run it on. Expected outputs stay on this side."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str
    """Comes back in the verdict."""
    source: str
    """The whole program, Python."""
    fn_name: str | None
    """Function (or method of a class `Solution`) that the tests call; None: stdin to stdout, or
    assertions."""
    tests: tuple[Test, ...] = ()
    """At least one, or `assertions`: a program that was not tested did not pass."""
    assertions: Assertions | None = None
    """Instead of `tests`, where the data set has nothing better; see there what that costs."""
    limits: Limits | None = None
    """None: the sandbox's own."""
    stop_at_first_failure: bool = False
    """Run each test in a process of its own and none after one that did not pass. Otherwise all
    tests run, in one process, so that coverage is the union over all of them."""
    isolate_tests: bool = False
    """Run each test in a process of its own, so that none meets what an earlier one left (module
    state, patched libraries, recursion limits). Coverage is still the union. The limits are over
    all tests together; each costs about as much as a small program does."""

    @property
    def cases(self) -> tuple[Test, ...] | tuple[str, ...]:
        """What a verdict has one result for each: the tests, or the assertions' statements."""
        return self.tests if self.assertions is None else self.assertions.statements

    @model_validator(mode="after")
    def _tested_one_way(self) -> "Job":
        if not self.cases:
            raise ValueError("a job without tests has no verdict: give at least one test")
        if self.assertions is not None and (self.tests or self.fn_name is not None):
            raise ValueError("assertions call the program themselves: leave out tests and fn_name")
        return self


def _compiled(text: str, what: str) -> str:
    try:
        compile(text, what, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{what} is not Python: {error}") from None
    return text
