"""Prompts: a subtask as the token ids that the policy continues."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """A subtask as the policy sees it; `curriculum.prompts` makes it."""

    ids: tuple[int, ...]
    """Token ids `[prompt_len]`, the special tokens of a chat template included."""
    prefix: str
    """The code in it that the program begins with: the subtask's prefix, or all but its end."""
    in_code_fence: bool
    """Whether the prompt leaves a code fence open, which the completion is expected to close; also
    without a prefix, where the template begins the answer with a fence."""
    in_reasoning: bool = False
    """Whether the prompt leaves a reasoning block open, which the completion closes."""
    text: str = ""
    """What the ids hold, the special tokens of a chat template written out, the prefix at its
    end."""
