"""Token ids of prompts: how prompt and remainder join at the cut, and what is left open."""

import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.config import PromptConfig
from curriculum.errors import CurriculumError
from curriculum.prompts.encode import PromptEncoder
from curriculum.prompts.render import PromptRenderer
from curriculum.start_points import START_POINT_KINDS, statement_points
from curriculum.subtask import FULL_TASK, Subtask, cut, cut_before
from curriculum.synthetic.corpus import noisy_corpus
from curriculum.synthetic.problems import synthetic_problems
from learner.tokenizer import token_bytes
from tests.curriculum.tokenizers import KINDS
from tests.published import needs_models, on_one_worker, tokenizer_of

pytestmark = on_one_worker

ALL = frozenset(START_POINT_KINDS)
BASE = PromptConfig()
CHAT = PromptConfig(style="chat", system="You write Python.")
FENCE = "```python\n"
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
    rendered = PromptRenderer(config).render(task)
    if config.style == "base":
        return rendered.text + rendered.prefix
    text = tokenizer.apply_chat_template(
        list(rendered.turns), tokenize=False, add_generation_prompt=True
    )
    return text + rendered.text + rendered.prefix


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
    hidden = task.problem.model_copy(update={"solution": "def f(a): pass", "tests": ()})
    other = dataclasses.replace(other, problem=hidden)
    for style in styles(tokenizer):
        config = style.model_copy(update={"show_tests": 0})
        encode = encoder(tokenizer, config).encode
        assert encode(other) == encode(task)


def test_a_token_across_the_cut_is_removed_from_the_prompt(make_problem):
    """Without the removal, `):` and its newline would be two tokens; the first test can fail."""
    texts = [f"{question}\n{solution}" for question, solution in noisy_corpus(0, 1000)]
    tokenizer = KINDS["byte-level"](texts)
    task = cut(make_problem(points=1), 0, ALL)
    assert task.prefix == "def f(x):"
    whole = tokenizer.encode(text_before(task, tokenizer, BASE) + task.remainder)
    naive = tokenizer.encode(text_before(task, tokenizer, BASE))
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
    made = PromptEncoder(stub, table, PromptConfig(template="bare"))
    assert made.encode(Subtask(problem, 0, 1, "# ü", "\nif x: pass\n")).prefix == "# "
    alone = made.encode(Subtask(problem, 0, 1, "ü"[:0], "\nif"))
    assert alone.ids == tuple(encode("# ü\n", False))
    only = Subtask(problem.model_copy(update={"question": "x"}), 0, 1, "ü", "\nif")
    assert made.encode(only).prefix == ""


def test_a_chat_ends_in_an_open_turn(make_problem):
    tokenizer = KINDS["byte-level"]([f"{q}\n{s}" for q, s in noisy_corpus(0, 200)])
    made = encoder(tokenizer, CHAT)
    whole, begun = (made.encode(cut(make_problem(points=1), stage, ALL)) for stage in (-1, 0))
    assert tokenizer.decode(whole.ids).endswith("code block.<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.decode(begun.ids).endswith("<|im_start|>assistant\n```python\ndef f(x")
    assert (whole.in_code_fence, whole.prefix) == (False, "")
    assert (begun.in_code_fence, begun.prefix) == (True, "def f(x")


def test_a_template_may_begin_the_answer_to_the_whole_task(make_problem):
    """Also where the chat template strips the turns, whose last newline opens the code."""
    tokenizer = KINDS["byte-level"]([f"{q}\n{s}" for q, s in noisy_corpus(0, 200)])
    tokenizer.chat_template = TRIMMING
    made = encoder(tokenizer, PromptConfig(style="chat", template="mbpp"))
    prompt = made.encode(cut(make_problem(points=1), FULL_TASK, ALL))
    text = prompt.text
    assert text.endswith("assistant\n```python\n")
    assert tokenizer.decode(prompt.ids) == text
    assert (prompt.in_code_fence, prompt.prefix) == (True, "")


TRIMMING = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if think is defined %}<think>\n{% endif %}{% endif %}"
)


def test_a_prompt_says_whether_it_leaves_reasoning_open(make_problem):
    tokenizer = KINDS["byte-level"]([f"{q}\n{s}" for q, s in noisy_corpus(0, 200)])
    tokenizer.chat_template = TRIMMING
    thinking = PromptConfig(style="chat", chat_arguments={"think": True})
    problem = make_problem(points=1, question="What does <think> open?")
    whole, *_, begun = every_cut(problem)
    assert encoder(tokenizer, thinking).encode(whole).in_reasoning
    with pytest.raises(CurriculumError, match="whether it thinks would depend on the stage"):
        encoder(tokenizer, thinking).encode(begun)
    assert not encoder(tokenizer, CHAT).encode(whole).in_reasoning, "the question opens nothing"
    begins = (
        "{% block user %}{{ question }}{% endblock %}{% block assistant %}<think>\nSo{% endblock %}"
    )
    own = PromptConfig(style="chat", template=begins)
    assert encoder(tokenizer, own).encode(whole).in_reasoning


def test_what_tokenizer_or_template_cannot_do_is_refused_by_name(make_problem):
    texts = [f"{question}\n{solution}" for question, solution in noisy_corpus(0, 100)]
    begun, whole = (cut(make_problem(points=1), stage, ALL) for stage in (0, FULL_TASK))
    with pytest.raises(CurriculumError, match="no chat template"):
        encoder(KINDS["own"](texts), CHAT)
    tokenizer = KINDS["byte-level"](texts)
    tokenizer.chat_template = (
        "{% for turn in messages %}"
        "{{ turn.content | upper if turn.role == 'assistant' else turn.content }}{% endfor %}"
    )
    with pytest.raises(CurriculumError, match="changes the beginning of the answer"):
        encoder(tokenizer, CHAT).encode(begun)
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(CurriculumError, match=r"turns system, user: System role .* prompt\.system"):
        encoder(tokenizer, CHAT).encode(whole)
    for broken, message in (
        ("{{ 1 / 0 }}", "division by zero"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ("answer:", "leaves out or changes the question"),
    ):
        tokenizer.chat_template = broken
        with pytest.raises(CurriculumError, match=message):
            encoder(tokenizer, CHAT).encode(whole)
    with pytest.raises(CurriculumError, match="'p0': its prompt is empty"):
        encoder(tokenizer, PromptConfig(template="{# nothing #}{{ '' }}")).encode(whole)


BEGINS = (
    "{% if add_generation_prompt %}A:{% if enable_thinking is false %}<think></think>{% endif %}"
)
THINKS = (
    "{% for turn in messages %}{{ turn.role }}:"
    "{% if turn.role == 'assistant' and CLOSED %}<think></think>{% endif %}"
    "{{ turn.content }};{% endfor %}" + BEGINS.replace("A:", "assistant:") + "{% endif %}"
)
"""As Qwen3's: a whole task leaves thinking to the model, unless `enable_thinking` is false."""


@pytest.mark.parametrize("closed", ["true", "false"], ids=["as Qwen3", "only for whole tasks"])
def test_whether_the_policy_thinks_does_not_depend_on_the_stage(closed, make_problem):
    tokenizer = KINDS["byte-level"]([AWKWARD] * 3)
    tokenizer.chat_template = THINKS.replace("CLOSED", closed)
    problem = make_problem(points=2)
    config = PromptConfig(style="chat", chat_arguments={"enable_thinking": False})
    encode = encoder(tokenizer, config).encode
    beginnings = {
        encode(task).text.rpartition("assistant:")[2].partition("</think>")[0]
        for task in every_cut(problem)
    }
    assert beginnings == {"<think>"}, "a closed block, and nothing else, at every stage"
    thinking = encoder(tokenizer, PromptConfig(style="chat"))
    whole, *begun = every_cut(problem)
    thinking.encode(whole)
    if closed == "true":
        with pytest.raises(CurriculumError, match=r"chat_arguments to \{enable_thinking: false\}"):
            thinking.encode(begun[-1])
    else:
        assert not thinking.encode(begun[-1]).in_reasoning, "the model was never told to think"


@needs_models
def test_qwen3_thinks_at_no_stage_or_is_asked_whole_tasks_only(make_problem):
    tokenizer, _ = tokenizer_of("tokenizers/qwen3")
    problem = make_problem(points=2)
    config = PromptConfig(style="chat", chat_arguments={"enable_thinking": False})
    encode = encoder(tokenizer, config).encode
    for task in every_cut(problem):
        text = encode(task).text
        begun = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
        answer = text.partition(begun)[2]
        assert answer == task.prefix == "" or answer.startswith(FENCE)
        assert text.count(begun) == 1
    thinking = encoder(tokenizer, PromptConfig(style="chat"))
    assert not thinking.encode(every_cut(problem)[0]).in_reasoning, "it opens the block itself"
    with pytest.raises(CurriculumError, match="enable_thinking: false"):
        thinking.encode(every_cut(problem)[-1])


@needs_models
@pytest.mark.parametrize(("name", "begin"), [("llama2", [1]), ("deepseek_v3", [0])])
def test_a_base_prompt_begins_as_the_tokenizer_begins_every_text(name, begin, make_problem):
    tokenizer, _ = tokenizer_of(f"tokenizers/{name}")
    for task in every_cut(make_problem(points=2)):
        ids = list(encoder(tokenizer).encode(task).ids)
        assert ids[: len(begin)] == begin
        assert not set(begin) & set(ids[len(begin) :])
