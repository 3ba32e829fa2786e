"""The child of one job: compiles the program, runs it on each input and records the results.

It knows inputs, never expected outputs: all that it, or a program that takes it over, can report is
what came out. Records are lines `KIND INDEX JSON`:

    p 0 [[start, end, alias], ...]         the program's statements, before any of it ran
    c 0 [type, message, line]              it does not compile
    r i value                              call-based test i returned this (or left it in the
                                           argument that is its result)
    o i [status, text]                     stdin test i ended so (`os.waitpid`) and had printed this
    a i null                               assertion i holds
    f i null                               assertion i does not hold
    e i [type, message, line or null]      test i raised; i = -1: loading the program raised;
                                           a stdin test's `o` follows
    z 0 null                               the end: every test was run
"""

import gc
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from . import statements, tracing
from .interpreter.recursion import RecursionDepth
from .interpreter.stdin_tests import StdinTests, memory_file
from .program import FILENAME, MESSAGE_CHARS, Emit, LoadedProgram


def reads_stdin(job: dict[str, Any]) -> bool:
    """Whether the program runs as a script, in a process of its own for each test."""
    return job["fn_name"] is None and job["setup"] is None


def run(
    job: dict[str, Any],
    emit: Emit,
    tracer: tracing.Tracer | None,
    depth: RecursionDepth,
    fork: Callable[[], int],
    seal: Callable[[int], None],
) -> None:
    """Run the job in this process, which exits soon after, or in processes that it forks.

    `tracer` is None where coverage is not wanted. `fork` and `seal` are for the processes of single
    tests, see `StdinTests`.
    """
    program = load(job["source"], emit, depth)
    if program is None:
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores it
    gc.enable()  # the server runs without the collector, so that forks share its pages
    if tracer is not None:
        tracer.arm(program.code)
    if job["setup"] is not None:
        program.run_assertions(job["setup"], job["inputs"])
    elif not reads_stdin(job):
        program.call_function(job["fn_name"], job["inputs"], job["exact"], job["result_argument"])
    else:
        sys.argv[1:] = map(memory_file, job.get("files", {}).items())
        gc.freeze()
        tests = StdinTests(program.code, depth, fork, seal)
        limits = job["cpu_seconds"], job.get("test_seconds"), job["output_bytes"]
        tests.run(job["inputs"], *limits, program.emit_error, program.emit_output)
    emit("z", 0, "null")


def load(source: str, emit: Emit, depth: RecursionDepth) -> LoadedProgram | None:
    """The program, its statements emitted; None, with its error emitted, if it does not compile."""
    lines: list[int] = []
    try:
        tree = statements.parse(source)
        numbering = statements.number(tree, source.encode())
        lines = numbering.lines
        code = compile(tree, FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        line: int | None = getattr(error, "lineno", None)
        if lines and line is not None:  # raised after numbering: `line` is a statement's id
            line = lines[line - 1] if 0 < line <= len(lines) else None
        message = getattr(error, "msg", None) or str(error)
        emit("c", 0, json.dumps([type(error).__name__, message[:MESSAGE_CHARS], line]))
        return None
    emit("p", 0, json.dumps(numbering.spans))
    return LoadedProgram(code, lines, emit, depth)
