"""Programs from completions: what is left out, and the exact offset of every byte that is not."""

import ast
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curriculum.answer.assemble import assemble
from curriculum.config import AnswerConfig
from curriculum.prompt import Prompt
from curriculum.start_points import statement_points
from curriculum.subtask import FULL_TASK, cut_before
from curriculum.synthetic.problems import synthetic_problems

SOLVED = "def f(x):\n    return x + 1\n"
STDIN = {"fn_name": None, "tests": ({"input": "1", "output": "2"},)}
EMPTY, HEADER, IN_FENCE = (
    Prompt((), "", in_code_fence=False),
    Prompt((), "def f(x):", in_code_fence=False),
    Prompt((), "def f(x):", in_code_fence=True),
)
BODY = "\n    return x + 1\n"


def program(problem, completion, prompt=EMPTY):
    """The part of a completion that is the program, with its range checked."""
    made = assemble(problem, prompt, completion)
    text = completion.encode()[made.begin : made.end]
    assert made.source == problem.preamble + prompt.prefix + text.decode()
    assert made.source.encode()[made.completion_start :] == text
    return text.decode()


@pytest.mark.parametrize(
    "completion",
    [
        f"```python\n{SOLVED}```",
        f"```\n{SOLVED}```\n",
        f"```py\n{SOLVED}",
        f"Sure! Here it is:\n\n```python\n{SOLVED}```\nIt adds one.\n\n```python\nf(3)\n```\n",
        f"First the idea:\n```python\nx + 1\n```\nThen all:\n```python\n{SOLVED}```",
        f"{SOLVED}```\nIt adds one.",
        f"{SOLVED}This function adds one.",
        f"{SOLVED}This function adds one.\n\n```python\nf(3)\n```",
        f"{SOLVED}Explanation:\nThe function adds one.\n- to its argument\n",
        f"{SOLVED}- It adds one.\n",
        f"```python\n{SOLVED}    - It adds one.\n```",
        f"{SOLVED}\nif __name__ == '__main__':\n    print(f(int(input())))\n",
        f"{SOLVED}\n\nprint(f(1))\nassert f(2) == 3\n'done'\n",
        f"{SOLVED}\n# Write a function that doubles.\ndef f(x):\n    return 2 * x\n",
        f"{SOLVED}\n@cache\ndef f(x):\n    return 2 * x\n",
        f"{SOLVED}<|assistant|> more",
        f"{SOLVED}print(f(1))\nExample\n",
        f"f(x) = x + 1\n\n{SOLVED}",
        f"By the formula\nS(n, k) = S(n - 1, k) + 1\n\n{SOLVED}\nT(n) = O(n)\n",
    ],
)
def test_text_around_a_program_is_left_out(make_problem, completion):
    assert program(make_problem(), completion) == SOLVED


@pytest.mark.parametrize("prompt", [HEADER, IN_FENCE], ids=["base", "chat"])
@pytest.mark.parametrize(
    "rest",
    [
        "```\nThat is all.",
        "```",
        "```\n\n```python\nprint(f(1))\n```",
        "This function adds one.",
        "\n\nprint(f(1))\n",
        "def f(x):\n    return 2\n",
        "",
    ],
)
def test_a_program_with_a_prefix_ends_with_its_function(make_problem, prompt, rest):
    assert program(make_problem(), BODY + rest, prompt) == BODY


def test_a_base_model_may_open_a_fence_behind_the_prefix(make_problem):
    assert program(make_problem(), f"\n```python{BODY}```\nDone.", HEADER) == BODY.lstrip("\n")
    assert program(make_problem(), f"\n```python{BODY}", HEADER) == BODY.lstrip("\n")


@pytest.mark.parametrize(
    "completion",
    [
        f"{SOLVED}x = = 3\n",  # not Python, and no prose either: the policy's mistake
        f"{SOLVED}for x in:\n",
        "def f(x:\n    return x\n",
        "def f(x):\n    return (x\n",
        "This is no program at all.",
        "The answer\n",
        "",
        "\n\n  ",
        f"{SOLVED}import sys\nsys.setrecursionlimit(10)\n",
        f"print(1)\n{SOLVED}",
        f"{SOLVED}\ndef g(x):\n    return f(x)\n",
        f"'''\n```\n'''\n{SOLVED}",
        f"{SOLVED}f = f\n"[:-6],
        "from typing import overload\n@overload\ndef f(x): ...\n" + SOLVED,
        f"if True:\n    {SOLVED.replace(chr(10), chr(10) + '    ')}\n",
        f"\n\n{SOLVED}",
    ],
)
def test_anything_else_stays_as_it_is(make_problem, completion):
    assert program(make_problem(), completion) == completion


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("n = int(input())\nprint(n + 1)\n", None),
        ("def main():\n    print(1)\n\nif __name__ == '__main__':\n    main()\n", None),
        ("n = int(input())\nprnt n\n", None),
        ("print(1)\nExplanation\nThis prints one.\n", "print(1)\n"),
        ("```python\nprint(1)\n```\nThis prints one.", "print(1)\n"),
        ("print(1)\n```\nThis prints one.", "print(1)\n"),
        ("The program\n```\nprint(1)\n```", "print(1)\n"),
    ],
)
def test_programs_that_read_stdin_are_never_stopped_early(make_problem, completion, kept):
    problem = make_problem(**STDIN)
    assert program(problem, completion) == (completion if kept is None else kept)


def test_methods_of_solution_and_assignments_define_the_function(make_problem):
    method = "class Solution:\n    def f(self, x):\n        return x\n"
    assert program(make_problem(), f"{method}\n\nclass Solution:\n    def f(self): 1\n") == method
    assert program(make_problem(), "f = abs\nprint(f(1))\n") == "f = abs\n"
    assert program(make_problem(), "f = abs; print(f(1))\n") == "f = abs; print(f(1))\n"


@pytest.mark.parametrize(
    "code",
    [
        "class UnionFind:\n    def f(self, x):\n        return x\n\n\ndef f(x):\n    return 1\n",
        "def f(x):\n    return x\n\n\nf = functools.cache(f)\n",
        "f = lambda x: 1 if x < 2 else f(x - 1)\n",
    ],
)
def test_a_namesake_or_a_derived_function_is_not_a_second_definition(make_problem, code):
    assert program(make_problem(), code) == code


def test_a_second_definition_in_the_prefix_does_not_end_the_program(make_problem):
    begun = "def f(x):\n    return 0\n\n\ndef f(x):\n"
    rest = "    return x + 1\n"
    assert program(make_problem(), rest, Prompt((), begun, in_code_fence=False)) == rest


def test_a_preamble_stands_before_the_prefix_and_is_not_parsed_with_it(make_problem):
    problem = make_problem(preamble="import math  # ü\n")
    assert program(problem, f"{BODY}```\nü", IN_FENCE) == BODY


def test_every_byte_has_its_offset_in_the_source_or_none(make_problem):
    completion = f"Así:\n```python\n# 漢\n{SOLVED}```\nü\n"
    made = assemble(make_problem(preamble="# é\n"), EMPTY, completion)
    source, text = made.source.encode(), completion.encode()
    places = [made.source_offset(offset) for offset in range(len(text))]
    inside = [place for place in places if place is not None]
    assert inside == list(range(made.completion_start, len(source)))
    assert all(source[p] == text[at] for at, p in enumerate(places) if p is not None)
    assert places[:4] == places[-4:] == [None] * 4


def check_offsets(problem, prompt, completion):
    """Every byte of a completion is in the program, at its place, or in exactly one cut."""
    made = assemble(problem, prompt, completion)
    text, source = completion.encode(), made.source.encode()
    given = problem.preamble + prompt.prefix
    assert made.source.startswith(problem.preamble)
    assert made.completion_start in (len(given.encode()), len(problem.preamble.encode()))
    places = [made.source_offset(offset) for offset in range(len(text))]
    inside = [place for place in places if place is not None]
    assert inside == list(range(made.completion_start, len(source)))
    assert all(source[p] == text[at] for at, p in enumerate(places) if p is not None)
    cut = [offset for each in made.cuts for offset in range(each.begin, each.end)]
    assert cut == [offset for offset, place in enumerate(places) if place is None]
    assert all(before.end <= behind.begin for before, behind in pairwise(made.cuts))
    assert sum(made.kept_lengths([1] * len(text))[made.begin : made.end]) == len(inside)
    return made


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["```", "```python\n", "\n```\n", SOLVED, BODY, "print(1)\n", "This is it.\n", "\n",
             " ", "def f(x):", "'''", "if x:", "ü漢🐍", "\r\n", "\r", "\x0c", "\\\n", "# c\n",
             "@a\n", ";", "<think>", "</think>\n", "<|endoftext|>", "~~~\n", "> ", "- ",
             "    ", "Done.\n", "这是。\n", "python\n", "f'{", "(", "}"]
        ),
        st.text(max_size=6),
    ),
    max_size=12,
)  # fmt: skip


@given(
    pieces=PIECES,
    prompt=st.sampled_from([EMPTY, HEADER, IN_FENCE, Prompt((), "# ü\nx = '漢'", False)]),
    stdin=st.booleans(),
)
def test_every_completion_gives_one_range_with_exact_offsets(make_problem, pieces, prompt, stdin):
    problem = make_problem(preamble="y = 'é'\n", **(STDIN if stdin else {}))
    check_offsets(problem, prompt, "".join(pieces))


CODE = st.lists(
    st.sampled_from(
        [SOLVED, "x = 1\n", "print(1)\n", "\n", " ", "'''", "# c\n", "@a\n", ";", "\\\n", "\x0c",
         "```\n", "    y\n", "if x:\n", "é = '漢'\n", "(", ")", "\r\n"]
    ),
    max_size=12,
)  # fmt: skip


@given(pieces=CODE)
@example(pieces=["'''", "```\n", SOLVED, "'''"])
@example(pieces=["x = 1\n", "'''", "```\n", "'''", "\n", SOLVED])
def test_a_program_that_parses_only_loses_its_end(make_problem, pieces):
    completion = "".join(pieces)
    try:
        ast.parse(completion)
    except (SyntaxError, ValueError):
        return
    kept = program(make_problem(), completion)
    assert completion.startswith(kept)
    assert program(make_problem(**STDIN), completion) == completion


@pytest.mark.parametrize(("block", "result"), [("last", 2), ("first", 1)])
def test_of_indented_blocks_in_a_text_the_asked_for_one_counts(make_problem, block, result):
    versions = (f"Version {i}:\n\n    def f(x):\n        return {i}\n\n" for i in (1, 2))
    made = assemble(make_problem(), EMPTY, "".join(versions), AnswerConfig(block=block))
    assert made.source.rstrip() == f"def f(x):\n    return {result}"


@pytest.mark.parametrize("fenced", [False, True], ids=["base", "chat"])
def test_every_remainder_completes_its_solution_whatever_follows(fenced):
    for problem in synthetic_problems(seed=3, per_tier=5):
        points = statement_points(problem.solution)
        for index in range(FULL_TASK, len(points)):
            task = cut_before(problem, index, points)
            prompt = Prompt((), task.prefix, fenced and task.prefix != "")
            assert program(problem, task.remainder, prompt) == task.remainder
            chatty = f"{task.remainder}\n```\n\nThis solves it:\n```python\nprint(f([1]))\n```"
            assert program(problem, chatty, prompt) == f"{task.remainder}\n"
