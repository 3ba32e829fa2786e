"""Rendering: a subtask as text, or as the turns of a chat, by the configured template.

What stands in a prompt depends on the problem; the stage changes the given code alone:

- *Style `base`*: the template's block `text`, then the prefix. Starter code that the solution
  begins with is the beginning of every prefix.
- *Style `chat`*: blocks `system` and `user` are turns. Block `assistant` begins the answer, and the
  prefix follows it in the assistant's open turn. Starter code stands in the user's turn, and the
  answer to the whole task begins without it: chat models answer with whole programs.
"""

import re
from dataclasses import dataclass, replace

from curriculum.config import PromptConfig
from curriculum.errors import CurriculumError
from curriculum.problem import Problem
from curriculum.prompts.fields import PromptFields, fields_of, names_function
from curriculum.prompts.templates import (
    AUTO,
    PromptTemplate,
    load_template,
    template_of_source,
)
from curriculum.subtask import FULL_TASK, Subtask, cut, starter_prefix

_FENCE_LINE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})([^\n`]*)$", re.MULTILINE)


@dataclass(frozen=True)
class RenderedPrompt:
    """A subtask as text, not tokenised."""

    template: str
    """Name of the template."""
    text: str
    """Style `base`: all text before the prefix. Style `chat`: how the answer begins."""
    turns: tuple[dict[str, str], ...]
    """Style `chat`: the turns before the assistant's, each with `role` and `content`."""
    prefix: str
    """The code that the answer continues; follows `text`."""
    in_code_fence: bool
    """Whether `text` leaves a code fence open."""

    @property
    def shown(self) -> str:
        """Everything that the model is shown, one part behind another."""
        return "\n".join([*(turn["content"] for turn in self.turns), self.text + self.prefix])


class PromptRenderer:
    """Renders subtasks as the configuration says.

    Raises:
        CurriculumError: there is no such template, it is not valid, or it has no block for the
            configured style.
    """

    def __init__(self, config: PromptConfig):
        self._config = config
        self._chosen = None if config.template == AUTO else self._template(config.template)
        self._problem: Problem | None = None
        self._fields: PromptFields | None = None

    def template_of(self, problem: Problem) -> PromptTemplate:
        """The template that a problem is asked by."""
        if self._chosen is not None:
            return self._chosen
        return self._template(template_of_source(problem.source, self._config.style))

    def render(self, subtask: Subtask) -> RenderedPrompt:
        """A subtask's prompt.

        Raises:
            CurriculumError: the template fails on it; names the template, the block and the reason.
        """
        chat = self._config.style == "chat"
        template = self.template_of(subtask.problem)
        whole_answer = chat and subtask.stage == FULL_TASK
        prefix = "" if whole_answer else subtask.prefix
        values = self._fields_of(subtask.problem, template, prefix, chat)
        turns = [
            {"role": role, "content": content}
            for role in ("system", "user")
            if chat and (content := template.render(role, values).strip())
        ]
        text = template.render("assistant" if chat else "text", values)
        return RenderedPrompt(
            template=template.name,
            text=text,
            turns=tuple(turns),
            prefix=prefix,
            in_code_fence=_leaves_fence_open(text),
        )

    def names_function(self, problem: Problem) -> bool:
        """Whether the prompt of the whole task says what will be called; true for stdin.

        Raises:
            CurriculumError: as for `render`.
        """
        if problem.fn_name is None:
            return True
        shown = self.render(cut(problem, FULL_TASK, frozenset())).shown
        return names_function(shown, problem.fn_name)

    def _template(self, setting: str) -> PromptTemplate:
        template = load_template(setting)
        block = "user" if self._config.style == "chat" else "text"
        if not template.has(block):
            raise CurriculumError(
                f"prompt.template {template.name}: no block {block!r}, which prompt.style "
                f"{self._config.style} needs; choose another template, or add the block"
            )
        return template

    def _fields_of(
        self, problem: Problem, template: PromptTemplate, prefix: str, chat: bool
    ) -> PromptFields:
        # The stages of a problem differ in the prefix alone, and come one after another.
        if self._problem is not problem or self._fields is None:
            starter = problem.starter_code.rstrip()
            tests = self._config.show_tests
            self._fields = fields_of(
                problem,
                prefix,
                "" if starter_prefix(problem) and not chat else starter,
                tests if tests is not None else template.convention_tests(self._config.style),
                self._config.system,
            )
            self._problem = problem
        elif self._fields.prefix != prefix:
            self._fields = replace(self._fields, prefix=prefix)
        return self._fields


def _leaves_fence_open(text: str) -> bool:
    """Whether the last line of a text opens a code fence."""
    fences = list(_FENCE_LINE.finditer(text))
    if not fences or text[fences[-1].end() :].strip():
        return False
    return bool(fences[-1][1].strip()) or len(fences) % 2 == 1
