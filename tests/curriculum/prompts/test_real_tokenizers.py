"""Published tokenizers, each with its own chat template: every prompt renders, encodes and cuts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from curriculum.config import PromptConfig
from curriculum.errors import CurriculumError
from curriculum.problem import Problem, Test
from curriculum.prompts.encode import PromptEncoder
from curriculum.prompts.templates import shipped_names
from curriculum.start_points import START_POINT_KINDS
from curriculum.subtask import FULL_TASK, Subtask, cut
from tests.published import PUBLISHED, needs_models, on_one_worker, tokenizer_of

pytestmark = [needs_models, on_one_worker]

ALL = frozenset(START_POINT_KINDS)
NAMES = sorted(str(p.parent.relative_to(PUBLISHED)) for p in PUBLISHED.rglob("tokenizer.json"))
BODY = "    if s:\n        for c in s:\n            t += c\n    return t\n"
SOLUTION = f'def f(s):\n    t = "ü漢🐍"\n\n{BODY}'
CLIMB = "class Solution:\n    def g(self, n):\n"
PROBLEMS = (
    Problem(
        id="f",
        question="Append s. <think> is a word.",
        solution=SOLUTION,
        fn_name="f",
        tests=(Test(input=["a"], output="ü漢🐍a"),),
    ),
    Problem(
        id="m",
        question="Climb.",
        fn_name="g",
        solution=f"{CLIMB}        while n:\n            n -= 1\n        return n\n",
        starter_code=f"{CLIMB}        ",
        tests=(Test(input=[1], output=0),),
    ),
    Problem(
        id="s",
        question="# Print it.",
        solution="for line in open(0):\n    print(line)\n",
        tests=(Test(input="a\n", output="a\n\n"),),
    ),
)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Of a tokenizer."""
    return request.param


NO_THINKING = {"enable_thinking": False}
"""Qwen3 would think before it answers a whole task, and not where a stage gives code."""


def tasks() -> Iterator[Subtask]:
    for problem in PROBLEMS:
        for stage in range(FULL_TASK, cut(problem, FULL_TASK, ALL).stages):
            yield cut(problem, stage, ALL)


def configs(tokenizer: Any) -> Iterator[PromptConfig]:
    styles = ["base", "chat"] if tokenizer.chat_template else ["base"]
    for style in styles:
        for template in shipped_names():
            if (style, template) != ("chat", "bare"):
                yield PromptConfig.model_validate(
                    {"style": style, "template": template, "chat_arguments": NO_THINKING}
                )


def test_every_prompt_encodes_and_its_ids_are_its_text(name: str) -> None:
    tokenizer, table = tokenizer_of(name)
    added = tokenizer.added_tokens_decoder.values()
    special = {token.content for token in added if token.special}
    for config in configs(tokenizer):
        encoder = PromptEncoder(tokenizer, table, config)
        for task in tasks():
            prompt = encoder.encode(task)
            text = prompt.text
            assert text.endswith(prompt.prefix)
            said = b"".join(table[token_id] for token_id in prompt.ids).decode()
            for token in special:
                text, said = text.replace(token, ""), said.replace(token, "")
            # Sentencepiece writes a space of its own before a text, and behind a special token.
            assert "".join(said.split()) == "".join(text.split())
            assert said.endswith(prompt.prefix)


def test_the_ids_are_the_first_of_prompt_and_remainder_together(name: str) -> None:
    tokenizer, table = tokenizer_of(name)
    for config in configs(tokenizer):
        encoder = PromptEncoder(tokenizer, table, config)
        for task in tasks():
            prompt = encoder.encode(task)
            text = prompt.text
            if not prompt.prefix:
                continue
            removed = task.prefix[len(prompt.prefix) :]
            begins = config.style == "base"  # a chat template has written what begins a text
            whole = tokenizer.encode(text + removed + task.remainder, add_special_tokens=begins)
            assert prompt.ids == tuple(whole[: len(prompt.ids)])


def test_no_published_template_thinks_for_the_policy(name: str) -> None:
    tokenizer, table = tokenizer_of(name)
    config = PromptConfig(style="chat", chat_arguments=NO_THINKING)
    if not tokenizer.chat_template:
        with pytest.raises(CurriculumError, match="no chat template"):
            PromptEncoder(tokenizer, table, config)
        return
    encoder = PromptEncoder(tokenizer, table, config)
    for task in tasks():
        prompt = encoder.encode(task)
        text = prompt.text
        opened = text.count("<think>") - (task.problem.id == "f")
        assert prompt.in_reasoning == (opened > text.count("</think>"))
        assert prompt.in_code_fence == bool(prompt.prefix)
