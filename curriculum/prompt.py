r"""Prompts: what the policy sees of a subtask, as text and as the ids it would have written itself.

Two styles (`PromptConfig.style`):

- `base`: the model continues a text: the question, a newline, the given code.
- `chat`: the question is the user's turn, through the tokenizer's own chat template. Given code
  stands in the assistant's turn, behind an opening code fence, and that turn is left open; with
  nothing given the assistant's turn has just begun, and the policy opens the fence itself.

**The cut and the tokens.** Prompt and completion are tokenised apart, and a tokenizer may join
characters on both sides of the cut: `):` and the newline after it are one token `):\n` for many
models. A prompt that ends in `):` would then ask for a newline token that the model has never seen
there. So tokens that would be others with the white space behind the cut are taken back from the
prompt, and the policy writes their text itself (`Prompt.given` is what is left). The prompt's ids
are then the first ids of prompt and remainder tokenised together. Only the white space that follows
is looked at, so that a prompt says nothing about the remainder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from curriculum.config import PromptConfig
from curriculum.subtask import Subtask, starter_prefix

FENCE = "```python\n"
"""What stands before given code in an assistant's turn."""


@dataclass(frozen=True)
class Prompt:
    """A subtask as the policy is asked."""

    ids: tuple[int, ...]
    """Token ids, the special ones of a chat template included."""
    given: str
    """The code in it that the program begins with: the subtask's prefix, or all but its end."""
    fenced: bool
    """Whether that code stands inside a code fence, which the completion is expected to close."""


def prompt_text(subtask: Subtask) -> str:
    """What a base model continues: the question, a newline, and the given prefix.

    Starter code that the canonical solution does not begin with cannot be continued; it stands
    between the two as a comment. Nothing of the remainder is in it.
    """
    shown = "".join(f"# {line}\n" for line in _other_starter(subtask).splitlines())
    return f"{subtask.problem.question}\n{shown}{subtask.prefix}"


def chat_messages(subtask: Subtask, config: PromptConfig) -> list[dict[str, str]]:
    """The turns of a chat, the assistant's last where code is given."""
    starter = _other_starter(subtask) if not subtask.prefix else ""
    begins = f"Begin with:\n{FENCE}{starter}\n```" if starter else ""
    asked = "\n\n".join(filter(None, (subtask.problem.question, begins, config.instruction)))
    turns = [{"role": "system", "content": config.system}] if config.system else []
    turns.append({"role": "user", "content": asked})
    if subtask.prefix:
        turns.append({"role": "assistant", "content": FENCE + subtask.prefix})
    return turns


class PromptEncoder:
    """Turns subtasks into prompts for one tokenizer.

    Args:
        tokenizer: of Hugging Face; for style `chat` with a chat template.
        token_bytes: the bytes that each token id adds to a text, by id (specials: none).
        config: how the policy is asked.

    Raises:
        ValueError: the tokenizer cannot do what the style needs; says what would help.
    """

    def __init__(self, tokenizer: Any, token_bytes: Sequence[bytes], config: PromptConfig):
        if config.style == "chat" and not tokenizer.chat_template:
            raise ValueError(
                "prompt.style is 'chat', and the model's tokenizer has no chat template: take an "
                "instruction-tuned model, or prompt.style base"
            )
        self._tokenizer = tokenizer
        self._bytes = token_bytes
        self._config = config

    def encode(self, subtask: Subtask) -> Prompt:
        """The prompt of a subtask.

        Raises:
            ValueError: the chat template changes the code in the assistant's turn, which then
                cannot be continued (raised by transformers).
        """
        chat = self._config.style == "chat"
        text = self._rendered(subtask) if chat else prompt_text(subtask)
        ids, given = self._ids(text), subtask.prefix
        if not given:
            return Prompt(tuple(ids), "", fenced=False)
        remainder = subtask.remainder
        joined = self._ids(text + remainder[: len(remainder) - len(remainder.lstrip())])
        same = takewhile(lambda pair: pair[0] == pair[1], zip(ids, joined, strict=False))
        kept, shown = self._taken_back(ids, sum(1 for _ in same), given)
        return Prompt(tuple(ids[:kept]), shown, fenced=chat)

    def _rendered(self, subtask: Subtask) -> str:
        turns = chat_messages(subtask, self._config)
        continued = turns[-1]["role"] == "assistant"
        return self._tokenizer.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=not continued,
            continue_final_message=continued,
        )

    def _taken_back(self, ids: list[int], kept: int, given: str) -> tuple[int, str]:
        """How many of the ids to keep, at most `kept`, and the part of `given` that they hold.

        Characters stay whole, and nothing but given code is taken back: where that cannot be, all
        ids are kept.
        """
        code = given.encode()
        for count in range(kept, -1, -1):
            taken = b"".join(self._bytes[token_id] for token_id in ids[count:])
            if not code.endswith(taken):
                break
            try:
                return count, code[: len(code) - len(taken)].decode()
            except UnicodeDecodeError:
                continue
        return len(ids), given

    def _ids(self, text: str) -> list[int]:
        # A chat template has written its special tokens out; a base prompt has none.
        return self._tokenizer.encode(text, add_special_tokens=False)


def _other_starter(subtask: Subtask) -> str:
    """Starter code that no answer can be given behind, since the solution begins otherwise."""
    problem = subtask.problem
    return "" if starter_prefix(problem) else problem.starter_code.rstrip()
