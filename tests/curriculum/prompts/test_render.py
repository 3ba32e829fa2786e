"""The text of prompts: every one says what will be called and how, and nothing twice."""

import pytest

from curriculum.config import PromptConfig
from curriculum.errors import CurriculumError
from curriculum.problem import Assertions, Test
from curriculum.prompts.fields import names_function
from curriculum.prompts.render import PromptRenderer
from curriculum.prompts.templates import BLOCKS, load_template, shipped_names
from curriculum.start_points import START_POINT_KINDS
from curriculum.subtask import FULL_TASK, cut
from curriculum.synthetic.corpus import noisy_corpus
from curriculum.synthetic.problems import synthetic_problems

ALL = frozenset(START_POINT_KINDS)
METHOD = "class Solution:\n    def climb(self, n: int) -> int:\n        return n\n"
STYLES = ("base", "chat")


def rendered(problem, stage=FULL_TASK, **config):
    return PromptRenderer(PromptConfig(**config)).render(cut(problem, stage, ALL))


def shown(problem, stage=FULL_TASK, **config):
    return rendered(problem, stage, **config).shown


@pytest.fixture
def kinds(make_problem):
    """A problem of each kind, by name, none of whose questions says how it is called."""
    stdin = {"fn_name": None, "tests": (Test(input="1\n", output="2\n"),)}
    return {
        "function": make_problem(question="Add one."),
        "method": make_problem(question="Climb.", solution=METHOD, fn_name="climb"),
        "lambda": make_problem(question="Add one.", solution="f = lambda x, y=2: x"),
        "imported": make_problem(question="Divide.", solution="from math import gcd as f"),
        "starter": make_problem(
            question="Climb.",
            solution=METHOD,
            fn_name="climb",
            starter_code="class Solution:\n    def climb(self, n: int):\n        ",
        ),
        "stdin": make_problem(question="Add one.", solution="print(int(input()) + 1)", **stdin),
    }  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("template", [t for t in shipped_names() if t != "bare"])
def test_every_shipped_template_says_what_will_be_called_and_how(kinds, style, template):
    for name, problem in kinds.items():
        text = shown(problem, style=style, template=template)
        if name == "stdin":
            assert "stdin" in text or "Standard Input" in text
        else:
            assert names_function(text, problem.fn_name), f"{name}:\n{text}"
        if name in ("method", "starter"):
            assert "Solution" in text
        assert "\n\n\n" not in text
        assert "None" not in text


def test_the_signature_comes_from_starter_code_or_solution(kinds):
    assert "Write a function `f(x)`." in shown(kinds["function"])
    assert "Write a function `f(x, y=2)`." in shown(kinds["lambda"])
    assert "Write a function `f` that takes 1 argument." in shown(kinds["imported"])
    method = "Write a class `Solution` with the method `climb(n: int) -> int`."
    assert method in shown(kinds["method"])
    text = shown(kinds["starter"])
    assert "Write a" not in text, "the starter code shows the signature"
    assert "# class Solution:\n#     def climb(self, n: int):\n" in text


def test_the_signature_of_unusual_definitions(make_problem):
    for solution, signature in {
        "async def f(a, /, *b: int, c=[1], **d) -> 'x':\n    pass": (
            "an async function `f(a, /, *b: int, c=[1], **d) -> 'x'`"
        ),
        "def f(x): return 1\ndef f(y): return 2": "a function `f(y)`",
        "class Solution:\n    @staticmethod\n    def f(x): return 1": "the method `f(x)`",
        "print 1": "a function `f` that takes 1 argument",
    }.items():
        problem = make_problem(question="Do it.", solution=solution)
        subtask = cut(problem, FULL_TASK, frozenset())
        assert signature in PromptRenderer(PromptConfig()).render(subtask).text, solution


def test_a_question_that_shows_how_it_is_called_is_not_repeated(make_problem):
    for question in ("Write `f(x)`, which adds one.", "Add one: f(3) gives 4."):
        text = shown(make_problem(question=question))
        assert "Write a function" not in text
    assert "Write a function `f(x)`." in shown(make_problem(question="Write a function f."))
    stdin = make_problem(question="Read a number from stdin, and write it to standard output.",
                         solution="print(input())", fn_name=None,
                         tests=(Test(input="1", output="1"),))  # fmt: skip
    assert shown(stdin, template="plain").count("stdin") == 1


def test_a_function_in_place_is_said_to_be_one(make_problem):
    problem = make_problem(
        question="Reverse.", solution="def f(a, n):\n    a.reverse()\n", result_argument=0,
        tests=(Test(input=[[1, 2], 3], output=[2, 1]),),
    )  # fmt: skip
    text = shown(problem)
    assert "It changes its argument `a` in place" in text
    assert "a = [1, 2]\nf(a, 3)\nassert a == [2, 1]" in text


def test_tests_are_shown_by_choice(make_problem):
    tests = tuple(Test(input=[i], output=i + 1) for i in range(5))
    problem = make_problem(question="Add one.", tests=tests)
    assert shown(problem).count("assert f(") == 1
    assert shown(problem, show_tests=3).count("assert f(") == 3
    assert shown(problem, show_tests=9).count("assert f(") == 5
    assert "assert" not in shown(problem, show_tests=0)
    example = make_problem(question="Add one.\n>>> f(7)\n8", tests=tests)
    assert "assert" not in shown(example)
    assert shown(example, show_tests=1).count("assert f(") == 1
    mbpp = make_problem(question="Add one.", tests=tests, source="mbpp+")
    assert shown(mbpp).count("assert f(") == 3
    assert shown(mbpp, style="chat").count("assert f(") == 1


def test_shown_tests_are_python_that_the_solution_passes(make_problem):
    tests = (
        Test(input=[list(range(900))], output=0),
        Test(input=[float("inf")], output=0),
        Test(input=[10**5000], output=0),
        Test(input=[(1, {"a": {2}})], kwargs={"k": None}, output=True),
    )
    problem = make_problem(question="x", solution="def f(x, k=0): return True", tests=tests)
    text = shown(problem, show_tests=3, template="{{ tests | join('\n') }}")
    assert text == "assert f((1, {'a': {2}}), k=None) == True", (
        "long and infinite ones are left out"
    )
    wrapped = make_problem(tests=(Test(input=[1], output=[2]),), comparison="apps")
    assert "assert f(1) == 2" in shown(wrapped)
    method = make_problem(question="x", solution=METHOD, fn_name="climb")
    assert "assert Solution().climb(0) == 0" in shown(method)


def test_tests_that_are_code_are_shown_where_they_need_nothing_but_the_function(make_problem):
    check = (
        "import math\ndef check(candidate):\n    y = 1\n"
        "    assert candidate(1) == 2, 'no'\n    assert candidate(y) == 2\n"
    )
    for assertions in (
        Assertions(setup=check, statements=("check(f)",)),
        Assertions(statements=("assert f(1) == 2", "assert other(1)", "check(f)")),
        Assertions(setup="def test_one():\n    assert f(1) == 2", statements=("test_one()",)),
    ):
        problem = make_problem(question="x", assertions=assertions, tests=())
        assert shown(problem, show_tests=9, template="{{ tests }}") == "['assert f(1) == 2']"
    own = Assertions(setup="class Pair: ...", statements=("assert f([Pair()]) == 2",))
    problem = make_problem(question="x", assertions=own, tests=())
    assert "assert f([Pair()]) == 2" in shown(problem), "the data set's own way to ask"


def test_the_bundled_model_is_asked_as_its_warm_start_taught_it():
    questions = [question for question, _ in noisy_corpus(0, 20)]
    for problem in synthetic_problems(seed=1, per_tier=2):
        text = shown(problem)
        assert text == f"{problem.question}\n"
        assert problem.question[:6] in {question[:6] for question in questions}


def test_the_stage_changes_the_given_code_alone(make_problem):
    problem = make_problem(points=3, question="Add one.", starter_code="def f(x):\n")
    for template in shipped_names():
        whole, first, last = (
            rendered(problem, stage, template=template) for stage in (FULL_TASK, 0, 1)
        )
        assert whole.text == first.text == last.text
        assert whole.prefix == first.prefix == "def f(x):"
        assert last.prefix.startswith("def f(x):\n")
        assert shown(problem, template=template).count("def f(x)") == 1


def test_a_chat_shows_starter_code_and_continues_the_prefix_alone(make_problem):
    problem = make_problem(points=1, question="Add one.", starter_code="def f(x):\n")
    whole = rendered(problem, style="chat")
    assert [turn["role"] for turn in whole.turns] == ["user"]
    assert "Begin with:\n```python\ndef f(x):\n```" in whole.turns[0]["content"]
    assert (whole.text, whole.prefix, whole.in_code_fence) == ("", "", False)
    begun = rendered(problem, 0, style="chat")
    assert begun.turns == whole.turns
    assert (begun.text, begun.prefix, begun.in_code_fence) == ("```python\n", "def f(x):", True)
    system, _ = rendered(problem, style="chat", system="You write Python.").turns
    assert system == {"role": "system", "content": "You write Python."}


def test_human_eval_is_continued_and_mbpp_follows_its_paper(make_problem):
    starter = 'def f(x):\n    """Add one."""\n'
    problem = make_problem(
        question="# Complete the function f.",
        source="humaneval",
        starter_code=starter,
        solution=f"{starter}    return x + 1\n",
    )
    assert shown(problem) == starter.rstrip()
    user = rendered(problem, style="chat").turns[0]["content"]
    assert user.endswith(f"```python\n{starter}```")
    mbpp = make_problem(question="Add one.", source="mbpp")
    assert shown(mbpp) == (
        "You are an expert Python programmer, and here is your task: Add one. "
        "Your code should pass these tests:\n\nassert f(0) == 0\n[BEGIN]\n"
    )


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ nope }}", "'nope' is undefined; the fields are id, source"),
        ("{% block usr %}{% endblock %}", "unknown block 'usr'; the blocks are text, system"),
        (
            "{% block user %}{{ question }}{% endblock %}",
            "no block 'text', which prompt.style base",
        ),
        ("{% if %}", "line 1: Expected an expression"),
        ("{{ 1 / 0 }}", "block text, problem 'p0': ZeroDivisionError"),
        ("{{ question.__class__.__mro__ }}", "SecurityError"),
        ("{% include 'x' %}", "block text, problem 'p0'"),
        ("nowhere.jinja", "nowhere.jinja: No such file or directory; give auto, a shipped"),
    ],
)
def test_a_faulty_template_is_named(make_problem, template, message):
    with pytest.raises(CurriculumError, match=r"prompt\.template") as raised:
        shown(make_problem(), template=template)
    assert message in str(raised.value)


def test_a_template_may_be_a_file(make_problem, tmp_path):
    path = tmp_path / "mine.jinja"
    path.write_text("{{ fn_name }}: {{ question }}\n")
    assert shown(make_problem(question="Add one."), template=str(path)) == "f: Add one.\n"


def test_shipped_templates_have_the_blocks_of_both_styles():
    for name in shipped_names():
        blocks = {block for block in BLOCKS if load_template(name).has(block)}
        assert blocks == ({"text"} if name == "bare" else set(BLOCKS))


def test_a_name_that_is_a_word_of_the_sentence_is_no_name():
    assert not names_function("Write a function to sum numbers.", "sum")
    assert not names_function("Find the largest.", "two_max")
    for text in ("sum(a)", "the `sum`", "def sum (a)", "a function sum of", 'called "sum"'):
        assert names_function(text, "sum"), text
    assert names_function("Implement two_max now.", "two_max")
    assert not names_function("my_two_max(3)", "two_max")


def test_a_very_long_question_is_rendered(make_problem):
    """In more than linear time this would outlast the timeout of a test."""
    for piece in ("f(", " \n", "Input", "f ", "- ", "Example ", ">>>", "#"):
        question = f"{piece * 200_000}x"
        for style in STYLES:
            assert question.strip() in shown(make_problem(question=question), style=style)
