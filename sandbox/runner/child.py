"""The child of one job: compiles the program, runs it on each input and records the results.

It knows inputs, never expected outputs: all that it, or a program that takes it over, can report is
what came out. Records are lines `KIND INDEX JSON`:

    p 0 [[start, end, alias], ...]         the program's statements, before any of it ran
    c 0 [type, message, line]              it does not compile
    r i value                              call-based test i returned this (or left it in the
                                           argument that is its result)
    o i text                               program test i ended and had printed this
    a i null                               assertion i holds
    f i null                               assertion i does not hold
    e i [type, message, line or null]      test i raised; i = -1: loading the program raised
    z 0 null                               the end: every test was run
"""

import gc
import json
import os
from typing import Any

from . import statements, tracing
from .program import FILENAME, MESSAGE_CHARS, Emit, LoadedProgram


def memory_files() -> tuple[int, int]:
    """Descriptors of files for stdin and stdout; to be made before the filter denies the call."""
    return os.memfd_create("stdin"), os.memfd_create("stdout")


def run(
    job: dict[str, Any],
    emit: Emit,
    tracer: tracing.Tracer | None,
    files: tuple[int, int] | None,
) -> None:
    """Run the job in this process, which exits soon after.

    `tracer` is None where coverage is not wanted; `files` are those of `memory_files`, None unless
    the program reads stdin.
    """
    program = load(job["source"], emit)
    if program is None:
        return
    gc.enable()  # the server runs without the collector, so that forks share its pages
    if tracer is not None:
        tracer.arm(program.code)
    if job["setup"] is not None:
        program.run_assertions(job["setup"], job["inputs"])
    elif files is None:
        program.call_function(job["fn_name"], job["inputs"], job["exact"], job["result_argument"])
    else:
        program.run_script(job["inputs"], files, job["output_bytes"])
    emit("z", 0, "null")


def load(source: str, emit: Emit) -> LoadedProgram | None:
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
    return LoadedProgram(code, lines, emit, opens_files="open" in source or "FileIO" in source)
