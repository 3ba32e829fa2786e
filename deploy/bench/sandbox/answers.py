"""The program in an answer: found in hand-marked completions, and in bounded time in nasty ones."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curriculum.answer.assemble import assemble
from curriculum.config import AnswerConfig
from curriculum.problem import Problem, Test
from curriculum.program import Program
from curriculum.prompt import Prompt
from deploy.bench.record import Figure
from deploy.versions import ROOT

CORPUS = ROOT / "tests" / "curriculum" / "answer" / "corpus"
"""Hand-marked completions; `CORPUS/README.md` explains the marks."""
LENGTH = 64_000
"""Characters of a looping answer."""
LIMIT_MS = 50
SOLVED = "def f(x):\n    return x + 1\n\n"


@dataclass(frozen=True)
class MarkedAnswer:
    """A completion with the stretch marked that is the program."""

    kind: str
    """The name of its file."""
    name: str
    """What it shows."""
    problem: Problem
    """What was asked."""
    prompt: Prompt
    """What it continues."""
    config: AnswerConfig
    """How the program is to be found."""
    completion: str
    """The text without marks."""
    begin: int
    """Byte offset of the stretch in the completion."""
    end: int
    """Byte offset behind it."""
    anew: bool
    """Whether the given code stands in the completion once more, so that the prefix is left out."""

    @property
    def found(self) -> Program:
        """The program that is found in it."""
        return assemble(self.problem, self.prompt, self.completion, self.config)

    @property
    def right(self) -> bool:
        """Whether it is the marked one: the stretch, and given code in front of it."""
        program = self.found
        if bool(self.prompt.prefix) and (program.completion_start == 0) != self.anew:
            return False
        if self.begin == self.end:
            return program.begin == program.end
        return (program.begin, program.end) == (self.begin, self.end)


def read_corpus(folder: Path = CORPUS) -> list[MarkedAnswer]:
    """Every marked completion, in the order of their files."""
    return [
        _parse(path.stem, entry)
        for path in sorted(folder.glob("*.txt"))
        for entry in path.read_text().split("%% ")[1:]
    ]


def looping_answers(length: int = LENGTH) -> Iterator[tuple[str, str]]:
    """Names and texts of answers that go on until a length in characters.

    Their lines are alike, or differ.
    """
    for name, unit in _UNITS.items():
        for start_name, start in _STARTS.items():
            count = length // max(1, len(unit.format(0))) + 1
            text = start + "".join(unit.format(i if "{0}" in unit else 0) for i in range(count))
            yield f"{name}{start_name}", text[:length]


def answers() -> Iterator[Figure]:
    """`answers_found` and `assemble_ms_64k`."""
    corpus = read_corpus()
    found = 100 * sum(marked.right for marked in corpus) / len(corpus)
    against = f"{len(corpus)} completions of {len({m.kind for m in corpus})} kinds"
    yield Figure("answers_found", found, "%", against, 100, None, found >= 100)
    times = {name: milliseconds(text) for name, text in looping_answers()}
    slowest = max(times, key=lambda name: times[name])
    yield Figure(
        "assemble_ms_64k",
        times[slowest],
        "ms",
        f"slowest of {len(times)}: {slowest}",
        LIMIT_MS,
        None,
        times[slowest] <= LIMIT_MS,
        tuple(times.values()),
    )


def milliseconds(completion: str, rounds: int = 3) -> float:
    """Processor time to find the program: the slower of a function's and a stdin program's."""
    return max(
        statistics.median(_once(problem, completion) for _ in range(rounds))
        for problem in (_problem("f"), _problem(None))
    )


def _once(problem: Problem, completion: str) -> float:
    started = time.process_time()
    assemble(problem, Prompt((), "", in_code_fence=False), completion)
    return 1e3 * (time.process_time() - started)


def _problem(fn_name: str | None) -> Problem:
    test = Test(input=[1], output=2) if fn_name else Test(input="1", output="2")
    return Problem(id="answer", question="", solution="pass", fn_name=fn_name, tests=(test,))


def _parse(kind: str, entry: str) -> MarkedAnswer:
    header, _, text = entry.partition("\n")
    name, *options = header.split("; ")
    named = {key: value for key, _, value in (option.partition("=") for option in options)}
    text = (
        f"{text.removesuffix('⟧' + chr(10))}⟧" if text.endswith("⟧\n") else text.removesuffix("∎\n")
    )
    if "crlf" in named:
        text = text.replace("\n", "\r\n")
    prefix, bar, completion = text.rpartition("‖")
    before, _, rest = completion.partition("⟦")
    inside, _, behind = rest.partition("⟧")
    begin = len(before.encode())
    return MarkedAnswer(
        kind=kind,
        name=name,
        problem=_problem(named.get("fn")),
        prompt=Prompt((), prefix if bar else "", "fence" in named, "reasoning" in named),
        config=AnswerConfig(block="first" if "first" in named else "last"),
        completion=before + inside + behind,
        begin=begin,
        end=begin + len(inside.encode()),
        anew="anew" in named,
    )


_STARTS = {"": "", ", behind a function": SOLVED, ", in a fence": f"```python\n{SOLVED}"}
_UNITS = {
    "functions": SOLVED,
    "functions that differ": "def f(x):\n    return x + {0}\n\n",
    "classes": "class Solution:\n    def f(self, x):\n        return {0}\n\n",
    "prints": "print(f(1))\n",
    "prints that differ": "print(f({0}))\n",
    "asserts": "assert f({0}) == {0}\n",
    "assignments": "a{0} = {0}\n",
    "calls on one line": "f({0}); ",
    "numbers": "0\n",
    "rows of numbers": "{0} {0}\n",
    "words": "word ",
    "sentences": "This function returns the sum of both, which isn't {0}.\n",
    "sentences and functions": "This is version {0}.\n\ndef f(x):\n    return x + {0}\n\n",
    "Chinese": "这个函数返回{0}。\n",
    "list items": "{0}. The function is called.\n",
    "indented code in prose": "This is it.\n\n    def g(x):\n        return x\n\n",
    "fences": "```\n",
    "tildes": "~~~\n",
    "fences behind text": "x ```\n",
    "fences on one line": "``` ",
    "blocks": "```python\nprint({0})\n```\n",
    "blocks with the function": "```python\ndef f(x):\n    return {0}\n```\n",
    "broken blocks": "```python\ndef f(x):\n    return = {0}\n```\n",
    "blocks in quotations": "> ```python\n> x = {0}\n> ```\n",
    "blocks with open strings": "```\nx = '''\n```\n",
    "quotes as fences": "'''python\nx = {0}\n'''\n",
    "open quotes as fences": "'''python\nx = {0}\n",
    "tags around code": "<b>x = {0}</b>\n",
    "brackets": "(",
    "mixed brackets": "[(",
    "calls in calls": "f(",
    "closing brackets": ")\n",
    "open brackets": "f{0} = (\n",
    "headers without end": "def f(\n",
    "headers": "if x == {0}:\n",
    "deep headers": "if x:\n ",
    "try": "try:\n    f({0})\n",
    "decorators": "@a\n",
    "open strings": "x{0} = '\n",
    "open long strings": "x = '''\n",
    "quotes": '"""',
    "open f-strings": "x = f'{{{0}\n",
    "nested f-strings": "f'{{",
    "backslashes": "\\\n",
    "backticks": "`",
    "white space": " ",
    "blank lines": "\n",
    "tabs": "\t \n x\n",
    "end markers in strings": "'</s>' ",
    "thinking": "<think>\n",
    "thought": "</think>\n",
    "thinking and thought": "<think>\n</think>\n",
    "minus signs": "-",
    "words in code": "not ",
}
