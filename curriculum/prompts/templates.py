"""Prompt templates: Jinja text with a block for each part of a prompt."""

import re
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from curriculum.errors import CurriculumError
from curriculum.prompts.fields import PromptFields

FOLDER = Path(__file__).with_name("templates")
"""The shipped templates, `<name>.jinja`."""
AUTO = "auto"
"""Chooses a shipped template by the problem's source."""
BLOCKS = ("text", "system", "user", "assistant")
"""The parts of a prompt. Style `base` renders `text`, style `chat` the turns."""

_BY_SOURCE = {
    "humaneval": "humaneval",
    "mbpp": "mbpp",
    "apps": "apps",
    "taco": "apps",
    "codecontests": "apps",
    "leetcode": "leetcode",
    "livecodebench": "leetcode",
}
"""Beginnings of sources (in lower case, letters alone) to the template of their convention."""
_TESTS = {
    ("mbpp", "base"): 3,
    ("mbpp", "chat"): 1,
    ("humaneval", "base"): 0,
    ("humaneval", "chat"): 0,
}
"""Tests that a convention shows, by template and style, whatever the question shows."""


class PromptTemplate:
    """One template: what stands in a prompt before the code that the answer continues.

    Args:
        name: what messages call it.
        text: Jinja. Without blocks the whole text is block `text` and block `user` at once.

    Raises:
        CurriculumError: the text is not Jinja, or has a block that no prompt has; names the line.
    """

    def __init__(self, name: str, text: str):
        self.name = name
        try:
            self._template = _environment().from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise CurriculumError(
                f"prompt.template {name}: line {error.lineno}: {error.message}"
            ) from None
        self._blocks = self._template.blocks
        if unknown := self._blocks.keys() - set(BLOCKS):
            raise CurriculumError(
                f"prompt.template {name}: unknown block {min(unknown)!r}; the blocks are "
                f"{', '.join(BLOCKS)}"
            )

    def convention_tests(self, style: str) -> int | None:
        """Tests that this convention shows of every problem; None: one, where none is shown."""
        return _TESTS.get((self.name, style))

    def has(self, block: str) -> bool:
        """Whether the template renders a part of a prompt."""
        return block in self._blocks if self._blocks else block in ("text", "user")

    def render(self, block: str, values: PromptFields) -> str:
        """One part of a prompt; nothing where the template does not have it.

        Raises:
            CurriculumError: the template uses a field that does not exist, or fails otherwise.
        """
        if not self.has(block):
            return ""
        context = self._template.new_context(asdict(values))
        render: Callable[[Any], Any] = self._blocks.get(block, self._template.root_render_func)
        try:
            return "".join(render(context))
        except jinja2.UndefinedError as error:
            names = ", ".join(field.name for field in fields(PromptFields))
            raise CurriculumError(
                f"prompt.template {self.name}: {error.message}; the fields are {names}"
            ) from None
        except Exception as error:  # a template may divide by zero, or call what is no function
            raise CurriculumError(
                f"prompt.template {self.name}, block {block}, problem {values.id!r}: "
                f"{type(error).__name__}: {error}"
            ) from None


def shipped_names() -> list[str]:
    """The names of the shipped templates."""
    return sorted(path.stem for path in FOLDER.glob("*.jinja"))


def template_of_source(source: str, style: str) -> str:
    """The shipped template that `auto` means for problems of a data set."""
    letters = re.sub("[^a-z]", "", source.lower())
    if letters == "synthetic" and style == "base":
        return "bare"
    return next((name for start, name in _BY_SOURCE.items() if letters.startswith(start)), "plain")


@cache
def load_template(setting: str) -> PromptTemplate:
    """The template that `prompt.template` names: a shipped one, a file, or the text itself.

    Raises:
        CurriculumError: there is no such template, or it is not valid.
    """
    if "{{" in setting or "{%" in setting or "\n" in setting:
        return PromptTemplate("(the text given)", setting)
    if setting in shipped_names():
        return PromptTemplate(setting, (FOLDER / f"{setting}.jinja").read_text(encoding="utf-8"))
    try:
        return PromptTemplate(setting, Path(setting).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CurriculumError(
            f"prompt.template {setting}: {error.strerror or error}; give {AUTO}, a shipped "
            f"template ({', '.join(shipped_names())}), the path of a Jinja file, or Jinja text"
        ) from None
    except UnicodeDecodeError as error:
        raise CurriculumError(f"prompt.template {setting}: not UTF-8: {error.reason}") from None


def _comment(text: str) -> str:
    """Every line behind `# `; a text that is a comment already stays as it is."""
    lines = text.splitlines()
    if all(line.startswith("#") for line in lines):
        return text
    return "\n".join(f"# {line}".rstrip() for line in lines)


def _docstring(text: str) -> str:
    """A text that may stand between triple double quotes."""
    return text.replace('"""', "'''")


@cache
def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["comment"] = _comment  # pyright: ignore[reportUnknownMemberType]
    environment.filters["docstring"] = _docstring  # pyright: ignore[reportUnknownMemberType]
    return environment
