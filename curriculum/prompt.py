r"""Prompts: a subtask as text and as the token ids that the policy continues.

Two styles (`PromptConfig.style`):

- `base`: the model continues one text: the question, a newline, the prefix.
- `chat`: the question is the user's turn, rendered by the tokenizer's own chat template. The prefix
  stands in the assistant's turn behind an opening code fence, and that turn is left open; without a
  prefix the assistant's turn has just begun, and the policy opens the fence itself.

**Tokens at the cut.** Prompt and completion are tokenised apart, but a tokenizer may join
characters on both sides of the cut: for many models `):` and the newline after it are one token
`):\n`. A prompt that ends in `):` would then be followed by a newline token that the model has
never seen there. So the last tokens of the prompt are removed where the white space behind the cut
would change them, and the policy writes their text itself; `Prompt.prefix` is the code that is
left. The prompt's ids are then the first ids of prompt and remainder tokenised together. Nothing of
the remainder except that white space is looked at, so a prompt reveals nothing about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from curriculum.config import PromptConfig
from curriculum.errors import CurriculumError
from curriculum.subtask import Subtask, starter_prefix

FENCE = "```python\n"
"""Opens the code in an assistant's turn."""


@dataclass(frozen=True)
class Prompt:
    """A subtask as the policy sees it."""

    ids: tuple[int, ...]
    """Token ids `[prompt_len]`, the special tokens of a chat template included."""
    prefix: str
    """The code in it that the program begins with: the subtask's prefix, or all but its end."""
    in_code_fence: bool
    """Whether that code stands inside a code fence, which the completion is expected to close."""
    in_reasoning: bool = False
    """Whether the prompt opens a reasoning block, which the completion is expected to close."""


def prompt_text(subtask: Subtask) -> str:
    """The text that a base model continues: the question, a newline, and the prefix.

    Starter code that the canonical solution does not begin with cannot be continued; it is shown
    between the two as a comment. Nothing of the remainder is in the text.
    """
    shown = "".join(f"# {line}\n" for line in _detached_starter(subtask).splitlines())
    return f"{subtask.problem.question}\n{shown}{subtask.prefix}"


def chat_messages(subtask: Subtask, config: PromptConfig) -> list[dict[str, str]]:
    """The turns of a chat; the last one is the assistant's where the subtask has a prefix."""
    starter = _detached_starter(subtask) if not subtask.prefix else ""
    starter_request = f"Begin with:\n{FENCE}{starter}\n```" if starter else ""
    parts = (subtask.problem.question, starter_request, config.instruction)
    turns = [{"role": "system", "content": config.system}] if config.system else []
    turns.append({"role": "user", "content": "\n\n".join(filter(None, parts))})
    if subtask.prefix:
        turns.append({"role": "assistant", "content": FENCE + subtask.prefix})
    return turns


class PromptEncoder:
    """Turns subtasks into prompts for one tokenizer.

    Args:
        tokenizer: a Hugging Face tokenizer; for style `chat` one with a chat template.
        token_bytes: the bytes that each token id adds to a text, indexed by id (empty for special
            tokens).
        config: style and instructions.

    Raises:
        CurriculumError: the tokenizer cannot do what the style needs; names the remedy.
    """

    def __init__(self, tokenizer: Any, token_bytes: Sequence[bytes], config: PromptConfig):
        if config.style == "chat" and not tokenizer.chat_template:
            raise CurriculumError(
                "prompt.style is 'chat', but the model's tokenizer has no chat template: use an "
                "instruction-tuned model, or set prompt.style to base"
            )
        self._tokenizer = tokenizer
        self._token_bytes = token_bytes
        self._config = config

    def encode(self, subtask: Subtask) -> Prompt:
        """The prompt of a subtask.

        Raises:
            ValueError: the chat template changes the code in the assistant's turn, which then
                cannot be continued (raised by transformers).
        """
        chat = self._config.style == "chat"
        text = self._render_chat(subtask) if chat else prompt_text(subtask)
        ids, prefix = self._encode_text(text), subtask.prefix
        if not prefix:
            return Prompt(tuple(ids), "", in_code_fence=False)
        remainder = subtask.remainder
        white_space = remainder[: len(remainder) - len(remainder.lstrip())]
        joined = self._encode_text(text + white_space)
        unchanged = takewhile(lambda pair: pair[0] == pair[1], zip(ids, joined, strict=False))
        kept, kept_prefix = self._remove_end(ids, sum(1 for _ in unchanged), prefix)
        return Prompt(tuple(ids[:kept]), kept_prefix, in_code_fence=chat)

    def _render_chat(self, subtask: Subtask) -> str:
        turns = chat_messages(subtask, self._config)
        continued = turns[-1]["role"] == "assistant"
        return self._tokenizer.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=not continued,
            continue_final_message=continued,
        )

    def _remove_end(self, ids: list[int], unchanged: int, prefix: str) -> tuple[int, str]:
        """How many ids to keep, at most `unchanged`, and the part of `prefix` that they hold.

        More ids are removed than needed where a character would be split. All are kept where the
        removed ones would hold more than the prefix: the question must stay whole.
        """
        code = prefix.encode()
        for count in range(unchanged, -1, -1):
            removed = b"".join(self._token_bytes[token_id] for token_id in ids[count:])
            if not code.endswith(removed):
                break
            try:
                return count, code[: len(code) - len(removed)].decode()
            except UnicodeDecodeError:
                continue
        return len(ids), prefix

    def _encode_text(self, text: str) -> list[int]:
        # No special tokens: a chat template has written its own out, and a base prompt has none.
        return self._tokenizer.encode(text, add_special_tokens=False)


def _detached_starter(subtask: Subtask) -> str:
    """Starter code that the solution does not begin with, so that no answer can continue it."""
    problem = subtask.problem
    return "" if starter_prefix(problem) else problem.starter_code.rstrip()
