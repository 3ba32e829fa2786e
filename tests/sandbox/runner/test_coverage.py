"""Executed statements are exact: against an oracle that marks every statement."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curriculum.problem import Test
from sandbox import Job, Outcome
from tests.sandbox.constructs import CONSTRUCTS
from tests.sandbox.oracle import Oracle, disagreements

NO_OUTPUT = (Test(input="", output=""),)


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_coverage_agrees_with_the_oracle_on(sandbox, name, record_property):
    source = CONSTRUCTS[name]
    verdict = sandbox.run(Job(id=name, source=source, fn_name=None, tests=NO_OUTPUT))
    expected = Oracle(sandbox).executed(source)
    differences = disagreements(expected, verdict.statements, source)
    false = sum(text.startswith("false: ") for text in differences)
    record_property("false", false)
    record_property("missed", len(differences) - false)
    assert differences == []
    assert any(statement.executed for statement in verdict.statements)


def test_the_oracle_names_every_kind_of_disagreement(sandbox):
    source = "x = 0\nif x:\n    y = 1\nelse:\n    y = 2\n"
    verdict = sandbox.run(Job(id="o", source=source, fn_name=None, tests=NO_OUTPUT))
    expected = Oracle(sandbox).executed(source)
    assert expected == {0: True, 6: True, 16: False, 32: True}
    flipped = tuple(item._replace(executed=not item.executed) for item in verdict.statements)
    differences = disagreements(expected, flipped, source)
    assert differences == [
        "missed: 'x = 0'",
        "missed: 'if x:'",
        "false: 'y = 1'",
        "missed: 'y = 2'",
    ]
    fewer = disagreements(expected, verdict.statements[:2], source)
    assert sorted(fewer) == [
        "no statement at byte 16: b'y = 1\\nelse:\\n    y = '",
        "no statement at byte 32: b'y = 2\\n'",
    ]


@pytest.mark.parametrize(
    ("source", "executed"),
    [
        (
            "type A = int\ndef g[T: int](x: T) -> T:\n    return x\n",
            ["type A = int", "def g[T: int](x: T) -> T:"],
        ),
        ("d = {'a': 1}\nx = f'{d['a']:{'>'}5}'\nif x: y = f'{'a:b' if x else ''}'\n", None),
        ("class A[T]:\n    x = 1\ng = lambda: 1\n", None),
    ],
)
@pytest.mark.docker
def test_newer_grammar_than_the_hosts_is_covered(docker_sandbox, source, executed):
    verdict = docker_sandbox.run(Job(id="new", source=source, fn_name=None, tests=NO_OUTPUT))
    texts = [source[statement.start : statement.end] for statement in verdict.statements]
    shown = [text for text, (_, _, ran) in zip(texts, verdict.statements, strict=True) if ran]
    assert shown == (texts if executed is None else executed)


def test_a_long_chain_of_elif_is_covered(sandbox):
    source = "x = 299\nif x < 0: y = 0\n" + "".join(f"elif x == {n}: y = {n}\n" for n in range(300))
    verdict = sandbox.run(Job(id="elif", source=source, fn_name=None, tests=NO_OUTPUT))
    assert verdict.outcome is Outcome.passed, verdict.error
    assert len(verdict.executed_lines) == 302
    assert sum(statement.executed for statement in verdict.statements) == 303


def test_statements_are_disjoint_sorted_and_within_the_source(sandbox):
    for name, source in CONSTRUCTS.items():
        verdict = sandbox.run(Job(id=name, source=source, fn_name=None, tests=NO_OUTPUT))
        last = 0
        for start, end, _ in verdict.statements:
            assert last <= start < end <= len(source.encode())
            last = end


def indent(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


SIMPLE = st.sampled_from(
    ["n += 1", "n -= 2; n += 1", "t.append(n)", "pass", "x = n // (n - 3)", "assert n < 6", "n = 5"]
)
JUMP = st.sampled_from(["break", "continue", "return n", "raise KeyError(n)"])
TEST = st.sampled_from(["n > 2", "n % 2", "0", "n == 3 and \\\n t", "not (\n n)"])


def compound(suites: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    block = suites.map(indent)
    pairs = st.tuples(TEST, block, block)
    return st.one_of(
        pairs.map(lambda p: f"if {p[0]}:\n{p[1]}else:\n{p[2]}"),
        pairs.map(lambda p: f"if {p[0]}: n += 1; t.append(0)\nelif n:\n{p[1]}"),
        pairs.map(lambda p: f"for i in range(n % 3):\n{p[1]}    if {p[0]}: break\nelse:\n{p[2]}"),
        pairs.map(
            lambda p: f"try:\n{p[1]}except ZeroDivisionError: n = 9\nelse:\n{p[2]}finally: n += 1\n"
        ),
        pairs.map(lambda p: f"try:\n{p[1]}except (KeyError,\n  AssertionError) as e:\n{p[2]}"),
        block.map(lambda b: f"match n:\n    case 1 | 2:\n{indent(b)}    case _: n = 4\n"),
        st.tuples(block, JUMP).map(lambda p: f"for i in range(2):\n{p[0]}    {p[1]}\n"),
    )


SUITE = st.recursive(
    st.lists(SIMPLE, min_size=1, max_size=3).map("\n".join),
    lambda inner: st.lists(compound(inner), min_size=1, max_size=3).map("".join),
    max_leaves=8,
)


@pytest.mark.docker
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(suite=SUITE, start=st.integers(0, 5))
def test_coverage_agrees_with_the_oracle_on_generated_programs(docker_sandbox, suite, start):
    source = f"t = []\ndef f(n):\n{indent(suite)}f({start})\n"
    compile(source, "generated", "exec")
    verdict = docker_sandbox.run(Job(id="g", source=source, fn_name=None, tests=NO_OUTPUT))
    expected = Oracle(docker_sandbox).executed(source)
    assert disagreements(expected, verdict.statements, source) == []
