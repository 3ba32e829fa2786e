r"""Encoding: a subtask as token ids.

**Tokens at the cut.** Prompt and completion are tokenised apart, but a tokenizer may join
characters on both sides of the cut: for many models `):` and the newline after it are one token
`):\n`. A prompt that ends in `):` would then be followed by a newline token that the model has
never seen there. So the last tokens of the prompt are removed where the white space behind the cut
would change them, and the policy writes their text itself; `Prompt.prefix` is the code that is
left. The prompt's ids are then the first ids of prompt and remainder tokenised together. Nothing of
the remainder except that white space is looked at, so a prompt reveals nothing about it.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Literal

from curriculum.answer.markdown.reasoning import KNOWN
from curriculum.config import AnswerConfig, PromptConfig
from curriculum.errors import CurriculumError
from curriculum.problem import Problem
from curriculum.prompt import Prompt
from curriculum.prompts.render import PromptRenderer, RenderedPrompt
from curriculum.subtask import FULL_TASK, Subtask, cut

_CUT = "\u2402CUT\u2402"
"""Stands behind the beginning of the answer while a chat template is rendered: what the template
writes behind it, such as the end of the turn, is left out of the prompt."""


class PromptEncoder:
    """Turns subtasks into prompts for one tokenizer.

    Args:
        tokenizer: a Hugging Face tokenizer; for style `chat` one with a chat template.
        token_bytes: the bytes that each token id adds to a text, indexed by id (empty for special
            tokens).
        config: style and template.
        answer: its reasoning markers and the known ones tell whether a prompt leaves reasoning
            open.

    Raises:
        CurriculumError: the tokenizer or the template cannot do what the style needs; names the
            remedy.
    """

    def __init__(
        self,
        tokenizer: Any,
        token_bytes: Sequence[bytes],
        config: PromptConfig,
        answer: AnswerConfig | None = None,
    ):
        if config.style == "chat" and not tokenizer.chat_template:
            raise CurriculumError(
                "prompt.style is 'chat', but the model's tokenizer has no chat template: use an "
                "instruction-tuned model, or set prompt.style to base"
            )
        self._tokenizer = tokenizer
        # A chat template writes its own out; to a base model, the tokenizer's are the beginning.
        self._begin = _leading_ids(tokenizer) if config.style == "base" else []
        self._token_bytes = token_bytes
        self._config = config
        self._reasoning = (*KNOWN, *(answer or AnswerConfig()).reasoning)
        self._checked: dict[str, bool] = {}
        """By name of a template: whether a prefix follows what the chat template writes in front of
        the answer to a whole task, and not what it writes in front of a given answer."""
        self.renderer = PromptRenderer(config)

    @property
    def has_chat_template(self) -> bool:
        """Whether the tokenizer has a chat template, whatever the prompts' style."""
        return bool(self._tokenizer.chat_template)

    def encode(self, subtask: Subtask) -> Prompt:
        """The prompt of a subtask.

        Raises:
            CurriculumError: the template fails, the prompt is empty, or the chat template refuses
                the turns or changes the beginning of the answer, which then cannot be continued.
        """
        rendered = self.renderer.render(subtask)
        text = self.text(rendered, subtask.problem)
        ids, prefix = self._encode_text(text), rendered.prefix
        if len(ids) == len(self._begin):
            raise CurriculumError(
                f"problem {subtask.problem.id!r}: its prompt is empty; prompt.template "
                f"{rendered.template} writes nothing of it: choose another template"
            )
        if prefix:
            remainder = subtask.remainder
            white_space = remainder[: len(remainder) - len(remainder.lstrip())]
            joined = self._encode_text(text + white_space)
            unchanged = takewhile(lambda pair: pair[0] == pair[1], zip(ids, joined, strict=False))
            kept, prefix = self._remove_end(ids, sum(1 for _ in unchanged), prefix)
            ids = ids[:kept]
        before = text[: len(text) - len(rendered.prefix)]
        return Prompt(
            ids=tuple(ids),
            prefix=prefix,
            in_code_fence=rendered.in_code_fence,
            in_reasoning=self._reasoning_of(before, rendered) == "open",
            text=before + prefix,
        )

    def text(self, rendered: RenderedPrompt, problem: Problem) -> str:
        """The text of a rendered prompt, the special tokens of a chat template written out.

        Raises:
            CurriculumError: as for `encode`.
        """
        if self._config.style == "base":
            return rendered.text + rendered.prefix
        answer = rendered.text + rendered.prefix
        if not answer:
            return self._chat(rendered, "", problem)
        if rendered.prefix and self._follows_whole_task(rendered, problem):
            return self._chat(rendered, "", problem) + answer
        return self._before_answer(rendered, answer, problem)

    def _follows_whole_task(self, rendered: RenderedPrompt, problem: Problem) -> bool:
        """Whether a prefix must stand behind the beginning of an answer to the whole task.

        Some chat templates write another beginning in front of an answer that is given. Whether the
        policy thinks would then depend on the stage.

        Raises:
            CurriculumError: the policy thinks where it answers whole tasks, and no prefix can stand
                behind its reasoning.
        """
        if rendered.template not in self._checked:
            whole = self.renderer.render(cut(problem, FULL_TASK, frozenset()))
            same = True  # the template itself begins the answer to the whole task
            if not whole.text:
                begun = self._reasoning_of(self._chat(rendered, "", problem), rendered)
                answer = rendered.text + rendered.prefix
                before = self._before_answer(rendered, answer, problem)[: -len(answer)]
                given = self._reasoning_of(before, rendered)
                same = begun == given
                if begun == "open" or (begun == "none" and given == "closed"):
                    raise CurriculumError(
                        "the model thinks before it answers a whole task, and not where the prompt "
                        "begins its answer: whether it thinks would depend on the stage. Set "
                        "prompt.chat_arguments to {enable_thinking: false} if its chat template "
                        "knows that, or curriculum.mode to none"
                    )
            self._checked[rendered.template] = not same
        return self._checked[rendered.template]

    def _before_answer(self, rendered: RenderedPrompt, answer: str, problem: Problem) -> str:
        """The text of a chat up to the end of a given answer."""
        text = self._chat(rendered, answer + _CUT, problem)
        before, cut_mark, _ = text.rpartition(_CUT)
        if not cut_mark or not before.endswith(answer):
            raise CurriculumError(
                f"problem {problem.id!r}: the tokenizer's chat template changes the beginning of "
                f"the answer, which then cannot be continued; set prompt.style to base, or "
                f"curriculum.mode to none with a prompt.template that begins no answer"
            )
        return before

    def _chat(self, rendered: RenderedPrompt, answer: str, problem: Problem) -> str:
        """The turns by the tokenizer's chat template, with the beginning of an answer or none."""
        turns = [dict(turn) for turn in rendered.turns]
        if answer:
            turns.append({"role": "assistant", "content": answer})
        try:
            text: str = self._tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=not answer,
                **self._config.chat_arguments,
            )
        except Exception as error:  # a template is a program: it may divide by zero
            raise CurriculumError(
                f"problem {problem.id!r}: the tokenizer's chat template refuses the turns "
                f"{', '.join(turn['role'] for turn in turns)}: {error}; leave prompt.system empty "
                f"where it knows no system turn, or set prompt.style to base"
            ) from error
        if not answer and any(turn["content"].strip() not in text for turn in rendered.turns[-1:]):
            raise CurriculumError(
                f"problem {problem.id!r}: the tokenizer's chat template leaves out or changes the "
                f"question; repair chat_template in the model's folder, or set prompt.style to base"
            )
        return text

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

    def _reasoning_of(
        self, before: str, rendered: RenderedPrompt
    ) -> Literal["open", "closed", "none"]:
        """What the text behind the last turn does about reasoning: opens a block of it, also closes
        the block, or does nothing.

        Args:
            before: the text of the prompt before the prefix.
            rendered: its parts; a marker within the question opens nothing.
        """
        if not rendered.turns:
            return "none"
        question = rendered.turns[-1]["content"]
        at = before.rfind(question)
        behind = before[at + len(question) :] if at >= 0 else before
        if any(behind.rfind(opens) > behind.rfind(closes) for opens, closes in self._reasoning):
            return "open"
        closed = any(closes in behind for _, closes in self._reasoning)
        return "closed" if closed else "none"

    def _encode_text(self, text: str) -> list[int]:
        return [*self._begin, *self._tokenizer.encode(text, add_special_tokens=False)]


def _leading_ids(tokenizer: Any) -> list[int]:
    """What a tokenizer puts in front of every text, such as BOS."""
    bare = tokenizer.encode("a", add_special_tokens=False)
    whole = tokenizer.encode("a", add_special_tokens=True)
    starts = (at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
    return whole[: next(starts, 0)]
