"""Whole completions with the expected mask marked by hand, cut text included.

The notation is that of `mask_cases`: `|` separates tokens, `‖` ends the given prefix, `⟦...⟧` is a
statement that was executed, `⟨...⟩` one that was not, and `~` says that its token must be masked.
Only statements of the program are in brackets; every token of what is cut must be kept. A stdin
program is asked for where the name begins with "stdin", else the function `f`.
"""

from __future__ import annotations

from dataclasses import dataclass

from curriculum.answer.assemble import assemble
from curriculum.problem import Problem, Test
from curriculum.program import Program
from curriculum.prompt import Prompt
from learner.mask import execution_mask

ANSWERS = {
    "reasoning before the code": (
        "<think>|\nx| =| 1|\n</think>|\n|⟦def| f(x):⟧|~\n    |⟨~return| ~1⟩|~\n"
    ),
    "reasoning with a draft of the same function": (
        "<think>|\n```python\n|def f(x):\n|    return 0|\n```\n|</think>|\n```python\n"
        "|⟦def f(x):⟧|\n    |⟦return 1⟧|\n|```"
    ),
    "a fence of which the token holds the code's beginning": (
        "```python\n⟦def|  f(x):⟧|~\n    |⟨~return 1⟩|~\n|```|\nDone|."
    ),
    "prose before and behind in Chinese": (
        "代码|：\n\n|⟦def f(x):⟧|~\n    |⟨~return 1⟩|~\n\n这|是|。"
    ),
    "a token over the last statement and the prose behind": (
        "⟦def f(x):⟧|\n    |⟦return 1⟧|\n\nThis| adds.\n"
    ),
    "a token over an unexecuted statement and the closing fence": (
        "```\n|⟦def f(x):⟧|~\n    |⟨~return 1⟩~\n```|\n"
    ),
    "several blocks, the last one counts": (
        "```python\n|def f(x):\n|    return 0\n|```\n|Better|:\n```python\n|⟦def f(x):⟧|\n    "
        "|⟦if x:⟧|~\n        |⟨~return 2⟩|\n    |⟦return 1⟧|\n```"
    ),
    "several blocks, the last one is usage": (
        "```python\n|⟦def f(x):⟧|~\n    |⟨~return 1⟩|~\n|```\n|```python\n|print|(f(1))\n|```"
    ),
    "another language first": (
        "```js\n|f = x => x|\n```\n|```python\n|⟦def f(x):⟧|~\n    |⟨~return 1⟩|~\n|```"
    ),
    "a driver at the end": (
        "⟦def f(x):⟧|~\n    |⟨~return 1⟩|~\n|\nn = int(|input())\n|print(f(n))\n"
    ),
    "an unfinished end": "```python\n|⟦def f(x):⟧|\n    |⟦return 1⟧|\n|assert f(|1) ==",
    "an end marker in the token of the last statement": (
        "⟦def f(x):⟧|~\n    |⟨~return 1⟩~<|endoftext|>".replace("<|endoftext|>", "</s>")
    ),
    "a block in a list, its indentation in tokens of their own": (
        "1.| Code:\n\n|   ```python\n|   |⟦def f(x):⟧|~\n|   |~    |⟨~return| ~1⟩|~\n|   ```|\n"
    ),
    "a block in a list, its indentation in the tokens of the newline": (
        "- x\n\n  ```python\n|  ⟦def f(x):⟧|\n      |⟦return 1⟧|\n  |```\n"
    ),
    "a quotation": "> ```python\n|> ⟦def f(x):⟧|~\n>     |⟨~return 1⟩|~\n|> ```\n",
    "stdin, prose around": (
        "Here it is:\n\n|⟦n = int(input())⟧|\n|⟦if n:⟧|~\n    |⟨~print(n)⟩|\n"
        "|⟦print(1)⟧|\n|It prints."
    ),
    "a prefix, then a fence and prose": (
        "⟦def f(x):⟧\n    ⟦if x:⟧‖|~\n        |⟨~return 1⟩|\n    |⟦return 2⟧|\n```|\nThis is| it."
    ),
    "a second definition": (
        "⟦def f(x):⟧|~\n    |⟨~return 1⟩|~\n|\ndef f(x):\n|    return 2\n"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class MarkedMask:
    """A parsed case."""

    program: Program
    """What is found in the completion."""
    statements: tuple[tuple[int, int, bool], ...]
    """Begin, end and execution of each statement, in bytes of the prefix and the completion."""
    token_lengths: tuple[int, ...]
    expected: tuple[bool, ...]
    tokens: tuple[str, ...]
    given: int
    """Bytes of the prefix."""

    @property
    def mask(self) -> list[bool]:
        """The mask, made as for a trajectory."""
        return execution_mask(
            self.program.kept_lengths(self.token_lengths),
            self.program.completion_start,
            [(self._place(begin), self._place(end - 1) + 1, ran)
             for begin, end, ran in self.statements],
            self.program.source.encode(),
            completion_begin=self.program.begin,
        )  # fmt: skip

    def _place(self, offset: int) -> int:
        if offset < self.given:
            return offset
        place = self.program.source_offset(offset - self.given)
        assert place is not None, "a statement in brackets is cut"
        return place


def parse(name: str, text: str) -> MarkedMask:
    """Read the notation of this module's docstring."""
    prefix, _, completion = text.rpartition("‖")
    parts = completion.lstrip("|").split("|") if prefix else completion.split("|")
    plain, statements, opened = "", [], (0, False)
    for part in [prefix, *parts]:
        for character in part:
            if character in "⟦⟨":
                opened = (len(plain.encode()), character == "⟦")
            elif character in "⟧⟩":
                statements.append((opened[0], len(plain.encode()), opened[1]))
            elif character != "~":
                plain += character
    tokens = [part.translate({ord(mark): None for mark in "⟦⟧⟨⟩~"}) for part in parts]
    given = prefix.translate({ord(mark): None for mark in "⟦⟧⟨⟩~"})
    fn_name = None if name.startswith("stdin") else "f"
    test = Test(input=[1], output=1) if fn_name else Test(input="1", output="1")
    problem = Problem(id="p", question="", solution="pass", fn_name=fn_name, tests=(test,))
    return MarkedMask(
        program=assemble(problem, Prompt((), given, bool(prefix)), "".join(tokens)),
        statements=tuple(statements),
        token_lengths=tuple(len(token.encode()) for token in tokens),
        expected=tuple("~" not in part for part in parts),
        tokens=tuple(tokens),
        given=len(given.encode()),
    )
