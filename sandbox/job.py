"""What goes into the sandbox."""

from pydantic import BaseModel, ConfigDict, field_validator

from curriculum.problem import Test
from sandbox.config import Limits


class Job(BaseModel):
    """One program and the tests to run it on. Expected outputs stay on this side."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str
    """Comes back in the verdict."""
    source: str
    """The whole program, Python."""
    fn_name: str | None
    """Function (or method of a class `Solution`) that the tests call; None: stdin to stdout."""
    tests: tuple[Test, ...]
    """At least one: a program that was not tested did not pass."""
    limits: Limits | None = None
    """None: the sandbox's own."""
    stop_at_first_failure: bool = False
    """Run each test in a process of its own and none after one that did not pass. Otherwise all
    tests run, in one process, so that coverage is the union over all of them."""

    @field_validator("tests")
    @classmethod
    def _not_empty(cls, tests: tuple[Test, ...]) -> tuple[Test, ...]:
        if not tests:
            raise ValueError("a job without tests has no verdict: give at least one test")
        return tests
