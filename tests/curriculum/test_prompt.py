"""What the policy sees, and how its ids join at the cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from curriculum.prompt import assemble, encode_prompt, prompt_text
from curriculum.start_points import START_POINT_KINDS
from curriculum.subtask import FULL_TASK, cut
from curriculum.synthetic import sloppy_corpus, synthetic_problems

ALL = frozenset(START_POINT_KINDS)


def every_cut(problem):
    stages = cut(problem, FULL_TASK, ALL).stages
    return [cut(problem, stage, ALL) for stage in range(FULL_TASK, stages)]


@pytest.fixture(scope="module")
def tokenizer():
    """Splits as the tiny policy's tokenizer does: a newline and its indentation are one piece."""
    tokenizer = Tokenizer(models.BPE())
    pattern = Regex(r"\n *| ?[A-Za-z_]+| ?[0-9]| ?[^\sA-Za-z0-9]+| +")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = (f"{question}\n{solution}" for question, solution in sloppy_corpus(0, 2000))
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def test_prompt_and_remainder_tokenise_apart_as_they_do_together(tokenizer):
    def ids(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    cuts = 0
    for problem in synthetic_problems(seed=3, per_tier=80):
        whole = ids(f"{problem.question}\n{problem.canonical_solution}")
        assert tokenizer.decode(whole) == f"{problem.question}\n{problem.canonical_solution}"
        for task in every_cut(problem):
            assert ids(prompt_text(task)) + ids(task.remainder) == whole
            cuts += 1
    assert cuts > 80 * (3 + 4 + 4)


def test_a_cut_after_the_newline_would_not_tokenise_alike(tokenizer):
    """The check above can fail: shift each cut behind its newline, and it does."""
    problem = synthetic_problems(seed=3, per_tier=1)[-1]
    task = cut(problem, 0, ALL)
    assert task.remainder.startswith("\n    ")
    shifted = prompt_text(task) + "\n", task.remainder[1:]
    apart = [token for text in shifted for token in tokenizer.encode(text).ids]
    assert apart != tokenizer.encode("".join(shifted)).ids


def test_the_prompt_is_encoded_without_special_tokens(make_problem):
    class Recorder:
        def encode(self, text, *, add_special_tokens=True):
            return [len(text), int(add_special_tokens)]

    task = cut(make_problem(points=1), 0, ALL)
    assert encode_prompt(task, Recorder()) == [len("# question 0\ndef f(x):"), 0]


def test_the_prompt_is_question_newline_prefix(make_problem):
    problem = make_problem(points=1)
    assert prompt_text(cut(problem, FULL_TASK, ALL)) == "# question 0\n"
    assert prompt_text(cut(problem, 0, ALL)) == "# question 0\ndef f(x):"


def test_starter_code_that_can_be_continued_is_shown_once(make_problem):
    problem = make_problem(points=1, starter_code="def f(x):\n")
    for task in every_cut(problem):
        assert prompt_text(task) == "# question 0\ndef f(x):"


def test_other_starter_code_is_shown_as_a_comment(make_problem):
    problem = make_problem(points=1, starter_code="class Solution:\n    def f(self):\n        ")
    shown = "# question 0\n# class Solution:\n#     def f(self):\n"
    assert prompt_text(cut(problem, FULL_TASK, ALL)) == shown
    assert prompt_text(cut(problem, 0, ALL)) == shown + "def f(x):"


def test_no_prompt_holds_anything_of_the_remainder():
    for problem in synthetic_problems(seed=4, per_tier=10):
        for task in every_cut(problem):
            assert prompt_text(task) == f"{problem.question}\n{task.prefix}"
            assert problem.canonical_solution == task.prefix + task.remainder


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(FULL_TASK, 1))
def test_the_completion_starts_at_its_byte_offset(make_problem, completion, stage):
    solution = "# é 🐍\nif 'ü':\n    pass\nfor x in 'ä': pass\n"
    task = cut(make_problem(canonical_solution=solution), stage, ALL)
    program = assemble(task, completion)
    assert program.source == task.prefix + completion
    assert program.source.encode()[program.completion_start :] == completion.encode()


def test_the_remainder_completes_the_canonical_solution(make_problem):
    problem = make_problem(points=5)
    for task in every_cut(problem):
        assert assemble(task, task.remainder).source == problem.canonical_solution


def test_a_preamble_is_run_but_not_shown(make_problem):
    problem = make_problem(points=1, preamble="import math  # ü\n")
    task = cut(problem, 0, ALL)
    assert "math" not in prompt_text(task)
    program = assemble(task, task.remainder)
    assert program.source == problem.program
    assert program.source.encode()[program.completion_start :] == task.remainder.encode()
