"""Cuts of generated programs; the generator itself knows where the start points are."""

import ast
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.start_points import START_POINT_KINDS, start_points, statement_points
from curriculum.subtask import FULL_TASK, cut, stage_count, start_index
from curriculum.synthetic.problems import synthetic_problems

ALL = frozenset(START_POINT_KINDS)


@dataclass
class Source:
    """A program under construction, and the start points put into it."""

    newline: str
    indent: str
    text: str = ""
    expected: list[tuple[str, str, int]] = field(default_factory=list)  # kind, keyword, offset

    def line(self, depth: int, text: str, kind: str = "") -> None:
        if kind:
            keyword = text.split()[0].rstrip(":")
            self.expected.append((kind, keyword, len(self.text.rstrip(" \t\f\r\n"))))
        self.text += self.indent * depth + text.replace("\n", self.newline) + self.newline

    def raw(self, text: str) -> None:
        self.text += text + self.newline


SIMPLE = (
    "x = 1",
    "x = 'naïve — 🐍'; y = 'if x:'",
    'd = """text\nif x:\n    for y in z:\n"""',
    "z = (1 if x\n  else 2)",
    "w = [i for i in range(3) if i]  # for while if",
    "v = 1 + \\\n  2",
    "match = case = lambda: 0",
)
ONE_LINERS = (
    ("if", "if x: x = 2; y = 3"),
    ("for", "for i in range(2): x += i"),
    ("while", "while False: pass"),
    ("with", "with open('a') as a, open('b') as b: pass"),
)
BLOCKS = ("if", "if-else", "for", "while", "try", "try-finally", "try-star", "with", "match")
ASYNC_BLOCKS = ("async-for", "async-with")
SCOPES = ("def", "async-def", "class")


@st.composite
def sources(draw) -> Source:
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    source = Source(newline, draw(st.sampled_from(["    ", "  ", "\t"])))
    for _ in range(draw(st.integers(0, 2))):
        source.raw("")
    block(draw, source, depth=0, in_async=False)
    if draw(st.booleans()):
        source.text = source.text.rstrip()
    return source


def block(draw, source: Source, depth: int, in_async: bool) -> None:
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            source.raw(draw(st.sampled_from(["", "   ", "\t", "# if é:", "    # while: ", "\f"])))
        shapes = ["simple", "simple", "one-liner"]
        if depth < 3:
            shapes += [*BLOCKS, *SCOPES, *(ASYNC_BLOCKS if in_async else ())]
        statement(draw, source, draw(st.sampled_from(shapes)), depth, in_async)


def statement(draw, source: Source, shape: str, depth: int, in_async: bool) -> None:
    def suite(in_async: bool = in_async) -> None:
        block(draw, source, depth + 1, in_async)

    line = source.line
    match shape:
        case "simple":
            line(depth, draw(st.sampled_from(SIMPLE)))
        case "one-liner":
            kind, text = draw(st.sampled_from(ONE_LINERS))
            line(depth, text, kind)
        case "if" | "if-else":
            line(depth, "if x == 'ä':", "if")
            suite()
            for _ in range(draw(st.integers(0, 2))):
                line(depth, "elif y:", "if")
                suite()
            if shape == "if-else":
                line(depth, "else:")
                suite()
        case "for" | "while":
            line(depth, "for k in (1, 2):" if shape == "for" else "while x:", shape)
            suite()
            if draw(st.booleans()):
                line(depth, "else:")
                suite()
        case "try" | "try-star" | "try-finally":
            line(depth, "try:", "try")
            suite()
            if shape != "try-finally":
                line(depth, "except* OSError:" if shape == "try-star" else "except OSError as e:")
                suite()
                line(depth, "else:")
                suite()
            line(depth, "finally:")
            suite()
        case "with":
            line(depth, "with a as b:", "with")
            suite()
        case "match":
            line(depth, "match x:", "match")
            line(depth + 1, "case [1, *rest] if rest:")
            block(draw, source, depth + 2, in_async)
            line(depth + 1, "case _: pass")
        case "async-for":
            line(depth, "async for q in gen():", "for")
            suite()
        case "async-with":
            line(depth, "async with lock:", "with")
            suite()
        case "def" | "async-def":
            line(depth, "@decorated(if_=[1 if x else 2])")
            line(depth, "def g(a, *b):" if shape == "def" else "async def h(a):")
            suite(in_async=shape == "async-def")
        case "class":
            line(depth, "class C:")
            suite(in_async=False)


@given(sources())
def test_start_points_are_the_statements_of_the_generated_program(source):
    ast.parse(source.text)
    assert start_points(source.text, ALL) == tuple(offset for _, _, offset in source.expected)


@given(sources(), st.sets(st.sampled_from(START_POINT_KINDS)))
def test_only_the_chosen_kinds_count(source, kinds):
    expected = tuple(offset for kind, _, offset in source.expected if kind in kinds)
    assert start_points(source.text, frozenset(kinds)) == expected


@given(sources())
def test_a_remainder_begins_with_white_space_and_the_statement(source):
    points = start_points(source.text, ALL)
    for (_, keyword, _), point in zip(source.expected, points, strict=True):
        prefix, remainder = source.text[:point], source.text[point:]
        assert prefix == prefix.rstrip(" \t\f\r\n")
        assert remainder.lstrip().startswith(keyword)
        assert point == 0 or remainder[0].isspace()


@given(source=sources())
def test_every_cut_is_exact_and_lower_stages_have_shorter_prefixes(make_problem, source):
    problem = make_problem(solution=source.text)
    points = start_points(source.text, ALL)
    stages = stage_count(len(points))
    tasks = [cut(problem, stage, ALL) for stage in range(FULL_TASK, stages)]
    for task in tasks:
        assert (task.prefix + task.remainder).encode() == source.text.encode()
        assert task.stages == stages
    assert tasks[0].prefix == ""
    lengths = [len(task.prefix) for task in tasks[1:]]
    assert lengths == [points[start_index(len(points), stage)] for stage in range(stages)]
    assert lengths == sorted(set(lengths))


def test_the_offset_is_before_the_newline_of_the_statement():
    source = (
        "def f(a):\n    t = 0\n    for x in a:\n        if x:\n            t += x\n    return t"
    )
    first, second = start_points(source, ALL)
    assert source[:first] == "def f(a):\n    t = 0"
    assert source[first:second] == "\n    for x in a:"
    assert source[second:].startswith("\n        if x:")


def test_blank_lines_are_in_the_remainder_and_comments_in_the_prefix():
    source = "x = 1  \n\n# now\n\n\nif x:\n    pass\n"
    assert [source[:point] for point in start_points(source, ALL)] == ["x = 1  \n\n# now"]


def test_a_statement_at_the_beginning_has_offset_zero():
    assert start_points("\n\nfor x in a: pass\n", ALL) == (0,)


def test_expressions_are_not_start_points():
    source = "y = [i if i else 0 for i in range(3) if i]\nz = lambda: 1 if y else 2\n"
    assert start_points(source, ALL) == ()


def test_without_kinds_nothing_is_parsed():
    assert start_points("def broken(:", frozenset()) == ()


@pytest.mark.parametrize("source", ["def broken(:", "print 'python 2'", "if x:\npass"])
def test_a_source_that_does_not_parse_raises(source):
    with pytest.raises(SyntaxError):
        start_points(source, ALL)


def test_invalid_escapes_in_a_solution_give_no_warning(recwarn):
    assert len(start_points("import re\nif re.match('\\d', 'x'): pass\n", ALL)) == 1
    assert not recwarn.list


@pytest.mark.parametrize(
    ("source", "starts"),
    [
        ("x = 1; y = 2\nz = 3\n", ["x = 1", "z = 3"]),
        ("if a: b = 1\nelif c:\n    d\nelse:\n    e\n", ["if a", "elif c", "d", "e"]),
        ("@p\n@q\ndef f():\n    return 1\n", ["@p", "return"]),
        ("s = '''\nif x:\n'''; t = 1\nu = 2", ["s =", "u ="]),
        ("match x:\n    case 1:\n        y\n", ["match", "y"]),
        ("ü = 'ä'\r\nif ü:\r\n\tpass\r\n", ["ü", "if ü", "pass"]),
        ("if a: \\\n    b\nc; \\\n  \\\nd\n", ["if a", "\\\n    b", "c", "\\\n  \\\nd"]),
    ],
)
def test_statement_points_are_where_statements_begin(source, starts):
    points = statement_points(source)
    assert len(points) == len(starts)
    for point, start in zip(points, starts, strict=True):
        assert source[point:].lstrip().startswith(start)


def test_every_start_point_is_before_a_statement():
    for problem in synthetic_problems(seed=2, per_tier=5):
        points = statement_points(problem.solution)
        assert set(start_points(problem.solution, ALL)) <= set(points)
