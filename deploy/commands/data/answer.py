"""`stepcoder data answer`: the program that is found in a completion."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from curriculum.answer.assemble import assemble
from curriculum.answer.python.grammar import is_python
from curriculum.answer.python.roles import defined_names, defines_function
from curriculum.answer.python.statements import split
from curriculum.problem import Problem, Test, function_name
from curriculum.program import Program
from curriculum.prompt import Prompt
from curriculum.syntax import UNPARSABLE, parse, syntax_fault
from deploy.commands.configuration import Configuration, takes_configuration
from deploy.errors import ConfigError

app = App(
    name="answer",
    help_epilogue="""\
Examples:
  stepcoder data answer completion.txt --fn two_max
  stepcoder data answer completion.txt --fn two_max \\
      --given prefix.py --in-fence --json
  stepcoder data answer - --answer.block first < completion.txt""",
)

MARK = "-----8<-----"
_HEADER = re.compile(r"^(?:@.*\n)*(?:async[ ]+)?(?:def|class)[ ]+\w", re.MULTILINE)
_SHOWN = 60
"""Characters of a cut that are printed."""


@app.default
@takes_configuration("answer")
def answer(
    configuration: Configuration,
    completion: Annotated[
        Path, Parameter(help="What the model wrote; `-` reads stdin.", allow_leading_hyphen=True)
    ],
    /,
    *,
    fn: Annotated[
        str | None, Parameter(help="The function that is asked for; without it, a stdin program.")
    ] = None,
    given: Annotated[
        Path | None,
        Parameter(help="The code that the prompt gave, which the completion continues."),
    ] = None,
    in_fence: Annotated[
        bool, Parameter(negative="", help="The prompt left a code fence open.")
    ] = False,
    in_reasoning: Annotated[
        bool, Parameter(negative="", help="The prompt left a reasoning block open.")
    ] = False,
    json_output: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object.")
    ] = False,
) -> int:
    """Print the program that is found in a completion, and what is cut by which rule."""
    text = read_text(completion)
    prefix = read_text(given) if given else ""
    try:
        fn = function_name(fn) if fn is not None else None
    except ValueError as error:
        raise ConfigError(f"--fn: {error}") from None
    test = Test(input=[], output=None) if fn else Test(input="", output="")
    problem = Problem(id="answer", question="", solution="pass", fn_name=fn, tests=(test,))
    prompt = Prompt((), prefix, in_fence, in_reasoning)
    program = assemble(problem, prompt, text, configuration.load().answer)
    lacks = fn is not None and not defines_function(program.source, fn)
    fault = find_fault(program, text, in_fence)
    if json_output:
        said = {"defines_function": not lacks if fn else None, "fault": fault}
        print(json.dumps(program_record(program, text) | said, ensure_ascii=False))
        return 0
    _print(program, text)
    if fault is not None:
        print(f"{MARK} {fault}")
    elif lacks:
        print(f"{MARK} the program defines no function {fn!r}: no call of it can succeed")
    return 0


def find_fault(program: Program, text: str, in_fence: bool = False) -> str | None:
    """Why there is no program in an answer, or why it cannot run; None where it parses.

    Args:
        program: as found in the answer.
        text: the answer.
        in_fence: whether the prompt left a code fence open.
    """
    rules = {cut.rule for cut in program.cuts}
    fenced = in_fence or "fence" in rules
    if not program.source.strip():
        if not text.strip():
            return "the answer is empty"
        if "other language" in rules:
            return "the answer has no Python block: its code is in another language"
        if rules == {"reasoning"}:
            return "the answer has no Python block: it ends within the reasoning"
        return "the answer has no Python block" if not fenced else "the answer's block is empty"
    try:
        parse(program.source)
        return None
    except UNPARSABLE as error:
        reason = syntax_fault(error)
    *_, last = split(program.source)
    if not fenced and not program.completion_start and not _HEADER.search(program.source):
        return f"the answer has no Python block, and its text is no program: {reason}"
    if last.closed:
        # A more lenient grammar, which also knows what is newer than this interpreter.
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        by = f" by Python {version}, which runs this command" * is_python(program.source)
        return f"the program does not parse{by}: {reason}"
    line = program.source.rstrip().count("\n") + 1
    names = defined_names(program.source, last) if _HEADER.match(program.source, last.begin) else []
    inside = f", within {names[0]!r}" if names else ""
    return f"the program breaks off in line {line}{inside}: {reason}"


def read_text(path: Path) -> str:
    """The text of a file, or of stdin for `-`.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return data.decode()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8") from None


def program_record(program: Program, text: str) -> dict[str, object]:
    """The program found in a completion, and each cut with its text, as plain data for JSON."""
    data = text.encode()
    return {
        "program": program.source,
        "begin": program.begin,
        "end": program.end,
        "completion_start": program.completion_start,
        "unfinished": program.unfinished,
        "cuts": [
            {"begin": cut.begin, "end": cut.end, "rule": cut.rule,
             "text": data[cut.begin : cut.end].decode()}
            for cut in program.cuts
        ],
    }  # fmt: skip


def _print(program: Program, text: str) -> None:
    print(f"{MARK} program: {stretch(program, text)}")
    print(program.source, end="" if program.source.endswith("\n") else "\n")
    print_cuts(program, text)


def stretch(program: Program, text: str) -> str:
    """Which part of the completion is in the program, for a person."""
    return f"bytes {program.begin} to {program.end} of {len(text.encode())} of the completion"


def print_cuts(program: Program, text: str) -> None:
    """Print what of the completion is not in the program, and by which rule."""
    data = text.encode()
    print(f"{MARK} cut: begin, end, rule, text" if program.cuts else f"{MARK} nothing is cut")
    for cut in program.cuts:
        shown = data[cut.begin : cut.end].decode()
        short = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        print(f"{cut.begin} {cut.end} {cut.rule}: {short!r}")
