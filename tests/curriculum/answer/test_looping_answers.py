"""Answers that never end: the work to read them is counted, in calls of functions."""

import sys
from collections.abc import Callable

import pytest

from curriculum.answer.assemble import assemble
from curriculum.prompt import Prompt
from deploy.bench.sandbox.answers import looping_answers

LENGTH = 16_000
CODE = ("assignments", "calls in calls", "decorators", "headers", "open strings", "try")
"""Kinds of code that has no Markdown."""
MOST_FOR_CODE, MOST = 1.9, 3.8
"""Calls for each character."""
TEXTS = dict(looping_answers(LENGTH))


def calls(work: Callable[[], object]) -> int:
    """How many functions some work calls, those written in C as well."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("fn_name", ["f", None])
def test_a_looping_answer_is_read_in_few_calls(make_problem, name, fn_name):
    test = {"input": [1], "output": 2} if fn_name else {"input": "1", "output": "2"}
    problem = make_problem(fn_name=fn_name, tests=(test,))
    prompt = Prompt((), "", in_code_fence=False)
    assemble(problem, prompt, TEXTS[name][:200])  # fills the caches of patterns
    code = name.removesuffix(", in a fence").removesuffix(", behind a function")
    most = MOST_FOR_CODE if code in CODE else MOST
    assert calls(lambda: assemble(problem, prompt, TEXTS[name])) < most * LENGTH
