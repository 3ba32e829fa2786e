"""The encoding of a job's program and test inputs, which are sent to a runner."""

import json
import math
from collections.abc import Sequence

from curriculum.problem import Checker, Test
from sandbox.job import Job
from sandbox.runner import values
from sandbox.runner.values import BYTE_ORDER_MARK, Value


def encode_inputs(job: Job) -> list[str]:
    """The JSON text of each test's input, as `sandbox.runner.values` decodes it.

    Raises:
        ValueError: an input or an expected output cannot be used; names the test.
    """
    if job.assertions is not None:
        return [json.dumps(statement) for statement in job.assertions.statements]
    if job.fn_name is None:
        return [_encode_stdin(test, index) for index, test in enumerate(job.tests)]
    return [
        _encode_arguments(test, index, job.result_argument) for index, test in enumerate(job.tests)
    ]


def encode_job(job: Job, inputs: Sequence[str]) -> bytes:
    """The job as the child decodes it, on some or all of the inputs of `encode_inputs`."""
    fields = {
        "source": job.source.removeprefix(BYTE_ORDER_MARK),
        "fn_name": job.fn_name,
        "setup": job.assertions.setup if job.assertions else None,
        "exact": job.comparison == "exact",
        "test_seconds": job.seconds_per_test and math.ceil(job.seconds_per_test),
        "result_argument": job.result_argument,
    }
    return f'{json.dumps(fields)[:-1]}, "inputs": [{", ".join(inputs)}]}}'.encode()


def encode_check(checker: Checker, test: Test, printed: str) -> bytes:
    """The job of a checker that judges what a program printed on a test."""
    files = {
        "input.txt": text_of(test.input),
        "expected.txt": text_of(test.output),
        "actual.txt": printed,
    }
    fields = {
        "source": checker.source.removeprefix(BYTE_ORDER_MARK),
        "fn_name": None,
        "setup": None,
        "files": {name: text.removeprefix(BYTE_ORDER_MARK) for name, text in files.items()},
        "inputs": [""],
    }
    return json.dumps(fields).encode()


def text_of(output: Value) -> str:
    """An input or expected output of a program on stdin: text, or a list of lines."""
    return output if isinstance(output, str) else "\n".join(map(str, output))  # type: ignore[arg-type]


def _encode_stdin(test: Test, index: int) -> str:
    lines: Value = test.input
    if not isinstance(lines, Sequence) or not all(isinstance(line, str) for line in lines):
        kind = type(lines).__name__
        raise ValueError(f"tests[{index}].input must be text for stdin, not {kind}")
    if not _is_text(test.output):
        kind = type(test.output).__name__
        raise ValueError(f"tests[{index}].output must be text or a list of lines, not {kind}")
    text = lines if isinstance(lines, str) else "\n".join(map(str, lines))
    return json.dumps(text.removeprefix(BYTE_ORDER_MARK))


def _encode_arguments(test: Test, index: int, result_argument: int | None) -> str:
    arguments: Value = test.input
    if not isinstance(arguments, (list, tuple)):
        kind = type(arguments).__name__
        raise ValueError(f"tests[{index}].input must be a list of arguments, not {kind}")
    given = len(arguments) + len(test.kwargs)
    if result_argument is not None and result_argument >= given:
        raise ValueError(
            f"tests[{index}].input has {given} arguments: none at position {result_argument}, "
            "which `result_argument` names (from 0)"
        )
    try:
        return values.dumps_exact([list(arguments), test.kwargs])
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"tests[{index}].input: {error}") from error


def _is_text(output: Value) -> bool:
    """Whether this is text or a list of lines; the lines of some data sets are bare numbers."""
    if isinstance(output, (list, tuple)):
        return all(isinstance(line, (str, int, float)) for line in output)
    return isinstance(output, str)
