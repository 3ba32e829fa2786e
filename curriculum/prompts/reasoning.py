"""Whether a prompt leaves a reasoning block open, as the chat templates of some models do."""

from curriculum.prompts.render import RenderedPrompt

MARKERS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reason>", "</reason>"),
    ("<reflection>", "</reflection>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
)
"""What opens and what closes reasoning, in published chat templates."""


def leaves_reasoning_open(before: str, rendered: RenderedPrompt) -> bool:
    """Whether the text that a chat template writes behind the last turn opens a reasoning block.

    Args:
        before: the text of the prompt before the prefix.
        rendered: its parts; a marker within the question opens nothing.
    """
    if not rendered.turns:
        return False
    question = rendered.turns[-1]["content"]
    at = before.rfind(question)
    behind = before[at + len(question) :] if at >= 0 else before
    return any(behind.rfind(opens) > behind.rfind(closes) for opens, closes in MARKERS)
