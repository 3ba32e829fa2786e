"""Warm sandbox slots for the tests: one per backend, for the whole session."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from curriculum.problem import Test
from sandbox import Job, Limits, Sandbox, SandboxConfig, Verdict

LIMITS = Limits(wall_seconds=10, cpu_seconds=8, memory_mib=512, output_kib=512)
DOCKER = pytest.param("docker", marks=pytest.mark.docker)
DOUBLE = "def f(x):\n    if x > 3:\n        return x * 2\n    return -x\n"


def open_sandbox(backend: str, **settings: Any) -> Sandbox:
    """A slot of the backend; tests that ask for docker carry its mark (see tests/conftest.py)."""
    config = SandboxConfig(backend=backend, **{"limits": LIMITS, **settings})  # type: ignore[arg-type]
    return Sandbox(config, slot=0, run="tests")


@pytest.fixture(scope="session", params=[DOCKER, "process"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with open_sandbox(request.param) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def docker_sandbox() -> Iterator[Sandbox]:
    with open_sandbox("docker") as sandbox:
        yield sandbox


@pytest.fixture
def call(sandbox: Sandbox) -> Callable[..., Verdict]:
    """Run a program whose `f` is called on each (arguments, expected) pair."""

    def run(source: str, *tests: tuple[list[Any], Any], **fields: Any) -> Verdict:
        cases = tuple(Test(input=arguments, output=expected) for arguments, expected in tests)
        return sandbox.run(Job(id="t", source=source, fn_name="f", tests=cases, **fields))

    return run


@pytest.fixture
def program(sandbox: Sandbox) -> Callable[..., Verdict]:
    """Run a program on each (stdin, expected stdout) pair."""

    def run(source: str, *tests: tuple[Any, Any], **fields: Any) -> Verdict:
        cases = tuple(Test(input=stdin, output=expected) for stdin, expected in tests)
        return sandbox.run(Job(id="t", source=source, fn_name=None, tests=cases, **fields))

    return run
