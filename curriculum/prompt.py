"""Prompts for subtasks, and programs from completions."""

from dataclasses import dataclass
from typing import Protocol

from curriculum.subtask import Subtask, starter_prefix


class Tokenizer(Protocol):
    """The one method of a Hugging Face tokenizer that prompts need."""

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]:
        """Token ids of a text."""
        ...


@dataclass(frozen=True)
class Program:
    """A whole program, and where in it the policy's own text begins."""

    source: str
    completion_start: int
    """Byte offset in `source.encode()`."""


def prompt_text(subtask: Subtask) -> str:
    """What a base model continues: the question, a newline, and the given prefix.

    Starter code that the canonical solution does not begin with cannot be continued; it stands
    between the two as a comment. Nothing of the remainder is in it.
    """
    problem = subtask.problem
    starter = problem.starter_code.rstrip()
    if starter and not starter_prefix(problem):
        shown = "".join(f"# {line}\n" for line in starter.splitlines())
    else:
        shown = ""
    return f"{problem.question}\n{shown}{subtask.prefix}"


def encode_prompt(subtask: Subtask, tokenizer: Tokenizer) -> list[int]:
    """Token ids of the prompt, without special tokens.

    Prompt and completion are tokenised apart, so the cut has to fall where a tokenizer splits
    anyway. Prefixes end before white space; a tokenizer that never joins a newline to the text
    before it then gives the policy exactly the ids it would have produced itself.
    """
    return tokenizer.encode(prompt_text(subtask), add_special_tokens=False)


def assemble(subtask: Subtask, completion: str) -> Program:
    """Put a completion behind the problem's preamble and the subtask's prefix."""
    given = subtask.problem.preamble + subtask.prefix
    return Program(given + completion, len(given.encode()))
