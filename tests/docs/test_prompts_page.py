"""The page on prompts shows every shipped template as it renders, and every field that it has."""

from __future__ import annotations

import dataclasses
import re

import pytest

from curriculum.config import PromptConfig
from curriculum.problem import Problem, Test
from curriculum.prompts.fields import PromptFields
from curriculum.prompts.render import PromptRenderer
from curriculum.prompts.templates import BLOCKS, shipped_names
from curriculum.subtask import FULL_TASK, cut
from tests.docs.commands import ROOT

PAGE = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8")
EXAMPLES = dict(
    re.findall(r"^<!-- (\w+ \w+) -->\n+````text\n(.*?)````$", PAGE, re.MULTILINE | re.DOTALL)
)
"""Template and style to what the page shows."""

TWO_MAX = "def two_max(a, b):\n    if a > b:\n        return a\n    return b\n"
FUNCTION = Problem(
    id="two_max",
    question="Return the larger one of two numbers.",
    solution=TWO_MAX,
    fn_name="two_max",
    tests=tuple(Test(input=[a, b], output=max(a, b)) for a, b in ((1, 2), (4, 3), (5, 5))),
)
STDIN = Problem(
    id="sum",
    question="The input is a line of numbers. Print their sum.",
    solution="print(sum(map(int, input().split())))\n",
    tests=(Test(input="1 2\n", output="3\n"),),
)
HEAD = 'def two_max(a, b):\n    """Return the larger one of two numbers."""\n'
HUMAN_EVAL = FUNCTION.model_copy(
    update={
        "question": "# Complete the function two_max.",
        "starter_code": HEAD,
        "solution": f"{HEAD}    return a if a > b else b\n",
    }
)
METHOD = "class Solution:\n    def twoMax(self, a: int, b: int) -> int:\n        "
LEETCODE = FUNCTION.model_copy(
    update={"starter_code": METHOD, "solution": f"{METHOD}return max(a, b)\n", "fn_name": "twoMax"}
)
PROBLEMS = {"apps": STDIN, "humaneval": HUMAN_EVAL, "leetcode": LEETCODE}
"""What a template is shown with; the others with the function."""


def example(template: str, style: str) -> str:
    """The whole task of a template's problem, the turns of a chat behind their roles."""
    config = PromptConfig.model_validate({"style": style, "template": template})
    subtask = cut(PROBLEMS.get(template, FUNCTION), FULL_TASK, frozenset())
    prompt = PromptRenderer(config).render(subtask)
    turns = "".join(f"<{turn['role']}>\n{turn['content']}\n" for turn in prompt.turns)
    answer = prompt.text + prompt.prefix
    text = turns + (f"<assistant>\n{answer}" if turns else answer)
    return text if text.endswith("\n") else f"{text}\n"


@pytest.mark.parametrize("template", shipped_names())
def test_the_page_shows_what_a_template_renders(template: str) -> None:
    for style in ("base",) if template == "bare" else ("base", "chat"):
        assert EXAMPLES[f"{template} {style}"] == example(template, style)


def test_the_page_names_every_field_and_block() -> None:
    for name in (*(field.name for field in dataclasses.fields(PromptFields)), *BLOCKS):
        assert f"| `{name}` |" in PAGE
