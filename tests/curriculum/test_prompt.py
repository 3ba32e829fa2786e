"""The text of prompts, and how prompt and remainder join at the cut."""

import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.config import PromptConfig
from curriculum.prompt import FENCE, PromptEncoder, chat_messages, prompt_text
from curriculum.start_points import START_POINT_KINDS, statement_points
from curriculum.subtask import FULL_TASK, Subtask, cut, cut_before
from curriculum.synthetic.corpus import noisy_corpus
from curriculum.synthetic.problems import synthetic_problems
from learner.tokenizer import token_bytes
from tests.curriculum.tokenizers import KINDS

ALL = frozenset(START_POINT_KINDS)
BASE = PromptConfig()
CHAT = PromptConfig(style="chat", system="You write Python.", instruction="Only code.")
PROBLEMS = synthetic_problems(seed=3, per_tier=12)
AWKWARD = '@deco\ndef f(x):\n\n\n    s = {"ü漢🐍": [1,\n  2]}\n    if s:\n        pass\n'


def every_cut(problem):
    points = statement_points(problem.solution)
    return [cut_before(problem, index, points) for index in range(FULL_TASK, len(points))]


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    texts = [f"{question}\n{solution}" for question, solution in noisy_corpus(0, 1000)]
    return KINDS[request.param](texts)


def encoder(tokenizer, config=BASE):
    return PromptEncoder(tokenizer, token_bytes(tokenizer), config)


def text_before(task, tokenizer, config):
    """All text up to the cut, rendered without the code under test."""
    if config.style == "base":
        return prompt_text(task)
    turns = chat_messages(task, config)
    opened = turns[-1]["role"] == "assistant"
    rendered = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    closing = "<|im_end|>\n<|im_start|>assistant\n"
    return rendered.removesuffix(closing) if opened else rendered


def styles(tokenizer):
    return [BASE, CHAT] if tokenizer.chat_template else [BASE]


def test_the_ids_of_a_prompt_are_the_first_of_the_whole_text(tokenizer, make_problem):
    table, seen = token_bytes(tokenizer), 0
    awkward = make_problem(solution=AWKWARD)
    for config in styles(tokenizer):
        encode = encoder(tokenizer, config).encode
        for task in [t for problem in [*PROBLEMS, awkward] for t in every_cut(problem)]:
            prompt = encode(task)
            text = text_before(task, tokenizer, config) + task.remainder
            whole = tokenizer.encode(text, add_special_tokens=False)
            assert prompt.ids == tuple(whole[: len(prompt.ids)])
            rest = b"".join(table[token_id] for token_id in whole[len(prompt.ids) :])
            assert prompt.prefix.encode() + rest == (task.prefix + task.remainder).encode()
            seen += len(prompt.prefix) < len(task.prefix)
    joins_punctuation_and_newline = any(b":\n" in piece for piece in table)
    assert (seen > 50) == joins_punctuation_and_newline


def test_only_the_end_of_the_prefix_is_removed(tokenizer):
    table = token_bytes(tokenizer)
    for config in styles(tokenizer):
        encode = encoder(tokenizer, config).encode
        for task in [t for problem in PROBLEMS for t in every_cut(problem)]:
            prompt = encode(task)
            assert task.prefix.startswith(prompt.prefix)
            assert len(task.prefix) - len(prompt.prefix) <= 8
            shown = b"".join(table[token_id] for token_id in prompt.ids).decode()
            assert shown.endswith((FENCE if prompt.in_code_fence else "\n") + prompt.prefix)
            assert prompt.in_code_fence == (config is CHAT and task.prefix != "")


@given(data=st.data())
def test_nothing_of_the_remainder_is_in_a_prompt(tokenizer, data):
    """Another remainder behind the same white space, and the prompt is the same."""
    task = data.draw(st.sampled_from([t for problem in PROBLEMS for t in every_cut(problem)]))
    code = task.remainder.lstrip()
    white = task.remainder[: len(task.remainder) - len(code)]
    other = dataclasses.replace(task, remainder=white + data.draw(st.text(min_size=1)).lstrip())
    hidden = task.problem.model_copy(update={"solution": "x", "tests": ()})
    other = dataclasses.replace(other, problem=hidden)
    for config in styles(tokenizer):
        encode = encoder(tokenizer, config).encode
        assert encode(other) == encode(task)


def test_a_token_across_the_cut_is_removed_from_the_prompt(make_problem):
    """Without the removal, `):` and its newline would be two tokens; the first test can fail."""
    texts = [f"{question}\n{solution}" for question, solution in noisy_corpus(0, 1000)]
    tokenizer = KINDS["byte-level"](texts)
    task = cut(make_problem(points=1), 0, ALL)
    assert task.prefix == "def f(x):"
    whole = tokenizer.encode(prompt_text(task) + task.remainder)
    naive = tokenizer.encode(prompt_text(task))
    assert naive != whole[: len(naive)]
    prompt = encoder(tokenizer).encode(task)
    assert prompt.prefix == "def f(x"
    assert list(prompt.ids) == whole[: len(prompt.ids)]


def test_whole_characters_are_removed_and_nothing_of_the_question(make_problem):
    """A tokenizer that splits `ü` and joins its second byte with the newline."""
    codes = {b: b for b in range(256)}
    table = [bytes([b]) for b in codes] + [b"\xbc\n"]

    def encode(text, add_special_tokens):
        raw, ids = text.encode(), []
        while raw:
            joined = raw.startswith(b"\xbc\n")
            ids.append(256 if joined else raw[0])
            raw = raw[2 if joined else 1 :]
        return ids

    stub = SimpleNamespace(chat_template=None, encode=encode)
    problem = make_problem(question="# ü", solution="# ü\nif x: pass\n")
    made = PromptEncoder(stub, table, BASE)
    assert made.encode(Subtask(problem, 0, 1, "# ü", "\nif x: pass\n")).prefix == "# "
    alone = made.encode(Subtask(problem, 0, 1, "ü"[:0], "\nif"))
    assert alone.ids == tuple(encode("# ü\n", False))
    only = Subtask(problem.model_copy(update={"question": "x"}), 0, 1, "ü", "\nif")
    assert made.encode(only).prefix == ""


def test_the_prompt_is_question_newline_prefix(make_problem):
    problem = make_problem(points=1)
    assert prompt_text(cut(problem, FULL_TASK, ALL)) == "# question 0\n"
    assert prompt_text(cut(problem, 0, ALL)) == "# question 0\ndef f(x):"


def test_starter_code_that_can_be_continued_is_shown_once(make_problem):
    problem = make_problem(points=1, starter_code="def f(x):\n")
    for task in (cut(problem, FULL_TASK, ALL), cut(problem, 0, ALL)):
        assert prompt_text(task) == "# question 0\ndef f(x):"
        turns = chat_messages(task, CHAT)
        assert turns[-1] == {"role": "assistant", "content": "```python\ndef f(x):"}
        assert "def f" not in turns[-2]["content"]


def test_other_starter_code_is_shown_with_the_question(make_problem):
    problem = make_problem(points=1, starter_code="class Solution:\n    def f(self):\n        ")
    shown = "# question 0\n# class Solution:\n#     def f(self):\n"
    assert prompt_text(cut(problem, FULL_TASK, ALL)) == shown
    assert prompt_text(cut(problem, 0, ALL)) == shown + "def f(x):"
    user_turn = chat_messages(cut(problem, FULL_TASK, ALL), CHAT)[-1]["content"]
    assert "Begin with:\n```python\nclass Solution:\n    def f(self):\n```" in user_turn


def test_turns_of_a_chat(make_problem):
    problem = make_problem(points=1)
    user = {"role": "user", "content": "# question 0\n\nOnly code."}
    system = {"role": "system", "content": "You write Python."}
    assert chat_messages(cut(problem, FULL_TASK, ALL), CHAT) == [system, user]
    prefix = {"role": "assistant", "content": "```python\ndef f(x):"}
    assert chat_messages(cut(problem, 0, ALL), CHAT) == [system, user, prefix]
    assert chat_messages(cut(problem, FULL_TASK, ALL), PromptConfig(style="chat", instruction=""))[
        0
    ] == {"role": "user", "content": "# question 0"}


def test_a_chat_ends_in_an_open_turn(make_problem):
    texts = [f"{question}\n{solution}" for question, solution in noisy_corpus(0, 200)]
    tokenizer = KINDS["byte-level"](texts)
    made = encoder(tokenizer, CHAT)
    whole, begun = (made.encode(cut(make_problem(points=1), stage, ALL)) for stage in (-1, 0))
    assert tokenizer.decode(whole.ids).endswith("Only code.<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.decode(begun.ids).endswith("<|im_start|>assistant\n```python\ndef f(x")
    assert (whole.in_code_fence, whole.prefix) == (False, "")
    assert (begun.in_code_fence, begun.prefix) == (True, "def f(x")


def test_a_style_without_support_of_the_tokenizer_is_refused(make_problem):
    texts = [f"{question}\n{solution}" for question, solution in noisy_corpus(0, 100)]
    with pytest.raises(ValueError, match="no chat template"):
        encoder(KINDS["own"](texts), CHAT)
    shouting = KINDS["byte-level"](texts)
    shouting.chat_template = "{{ messages[-1]['content'] | upper }}"
    with pytest.raises(ValueError, match="continue_final_message"):
        encoder(shouting, CHAT).encode(cut(make_problem(points=1), 0, ALL))
