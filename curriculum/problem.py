"""Problems: a question, its canonical solution and its tests."""

from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Tier = Literal["introductory", "interview", "competition"]
TIERS: tuple[Tier, ...] = get_args(Tier)


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


class Problem(BaseModel):
    """One programming problem with a correct solution.

    The canonical solution is a whole program: run after the preamble, it defines `fn_name`
    (call-based) or reads stdin and writes stdout (`fn_name` is None).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str = Field(min_length=1)
    """Unique within a data set; the curriculum's state is keyed by it."""
    question: str
    """What the model is asked, as text (a comment block where the model continues Python)."""
    starter_code: str = ""
    """Code every answer begins with; most useful when the canonical solution begins with it."""
    preamble: str = ""
    """Imports and helpers, as whole lines, that stand before every program of this problem; neither
    cut nor shown to the policy."""
    canonical_solution: str
    """The source the curriculum cuts."""
    fn_name: str | None = Field(default=None, min_length=1)
    """Function the tests call; None for a program tested on stdin and stdout."""
    tests: tuple[Test, ...] = Field(min_length=1)
    """At least one: a problem without tests cannot be judged."""
    difficulty: Tier
    """Tier by which results are reported."""
    source: str
    """The data set it came from."""

    @property
    def program(self) -> str:
        """The canonical solution behind its preamble: a program that passes the tests."""
        return self.preamble + self.canonical_solution

    @field_validator("preamble")
    @classmethod
    def _whole_lines(cls, preamble: str) -> str:
        if preamble and not preamble.endswith("\n"):
            raise ValueError("must end with a newline: the solution follows on a line of its own")
        return preamble

    @field_validator("tests")
    @classmethod
    def _tests_fit_the_calling_convention(
        cls, tests: tuple[Test, ...], info: ValidationInfo
    ) -> tuple[Test, ...]:
        if "fn_name" not in info.data:  # already reported as wrong itself
            return tests
        call_based = info.data["fn_name"] is not None
        for index, test in enumerate(tests):
            kind = type(test.input).__name__
            if call_based and kind != "list":
                raise ValueError(f"tests[{index}].input must be a list of arguments, not {kind}")
            if not call_based and not (
                isinstance(test.input, str) and isinstance(test.output, str)
            ):
                raise ValueError(f"tests[{index}] of a stdin program needs string input and output")
            if not call_based and test.kwargs:
                raise ValueError(f"tests[{index}].kwargs: a stdin program takes no arguments")
        return tests
