"""The sandbox's input: a program and the tests to run it on."""

from pydantic import BaseModel, ConfigDict, model_validator

from curriculum.problem import Assertions, Checker, Comparison, Problem, Test
from sandbox.config import Limits


class Job(BaseModel):
    """One program and the tests to run it on. Expected outputs never leave the host."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str
    """Returned in the verdict."""
    source: str
    """The whole program, Python."""
    fn_name: str | None
    """Function (or method of a class `Solution`) that the tests call; None: the program reads stdin
    and writes stdout, or is tested by assertions."""
    tests: tuple[Test, ...] = ()
    """At least one, unless there are `assertions`."""
    assertions: Assertions | None = None
    """Instead of `tests`, for data sets that have no inputs and outputs; less trustworthy, see
    `Assertions`."""
    comparison: Comparison = "close"
    """How outputs are compared with the expected ones."""
    checker: Checker | None = None
    """Decides instead of `comparison`; programs on stdin only."""
    result_argument: int | None = None
    """Position of the argument whose value after the call is compared; None: the returned value."""
    limits: Limits | None = None
    """None: the limits of the sandbox's configuration."""
    seconds_per_test: float | None = None
    """What the data set gives each test. The limits are raised to hold as much for every test; a
    test on stdin that takes more processor time, in whole seconds, ends the run."""
    stop_at_first_failure: bool = False
    """Run each test in a process of its own, and none after the first that does not pass. Otherwise
    all tests run."""
    isolate_tests: bool = False
    """Run each test in a process of its own, as tests on stdin are anyway: no test sees what
    an earlier one left (module state, patched libraries, recursion limits). Coverage is still the
    union. The limits are over all tests together; each process costs as much as a small program."""

    @classmethod
    def for_program(
        cls, problem: Problem, source: str, limits: Limits | None = None, *, id: str | None = None
    ) -> "Job":
        """The job that runs the program `source` on the tests of `problem`.

        `id` defaults to the problem's; give one where a problem has several programs.
        """
        return cls(
            id=problem.id if id is None else id,
            source=source,
            fn_name=None if problem.assertions else problem.fn_name,
            tests=problem.tests,
            assertions=problem.assertions,
            comparison=problem.comparison,
            checker=problem.checker,
            result_argument=problem.result_argument,
            seconds_per_test=problem.time_limit,
            limits=limits,
        )

    @property
    def reads_stdin(self) -> bool:
        """Whether each test is a run of the program as a script."""
        return self.fn_name is None and self.assertions is None

    @property
    def cases(self) -> tuple[Test, ...] | tuple[str, ...]:
        """The tests, or the assertions' statements: a verdict has one result for each."""
        return self.tests if self.assertions is None else self.assertions.statements

    @model_validator(mode="after")
    def _tested_one_way(self) -> "Job":
        if not self.cases:
            raise ValueError("a job without tests has no verdict: give at least one test")
        if self.assertions is not None and (self.tests or self.fn_name is not None):
            raise ValueError("assertions call the program themselves: leave out tests and fn_name")
        if self.checker is not None and not self.reads_stdin:
            raise ValueError("a checker reads what a program on stdin prints: leave out fn_name")
        return self
