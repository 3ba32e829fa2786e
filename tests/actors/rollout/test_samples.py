"""From a judged sample to its trajectory: which tokens ran, and which carry the blame."""

from dataclasses import replace

from actors.rollout.samples import Completion, RolloutGroup, Sample, own_programs, trajectory
from curriculum.problem import Problem, Test
from curriculum.program import Program
from curriculum.prompt import Prompt
from curriculum.subtask import Subtask
from learner.reward import Reward
from sandbox import Outcome, Statement, TestOutcome, TestResult, Verdict
from sandbox.runner.statements import number, parse

PREFIX = "def f(a):\n    t = 0"
TOKENS = [
    "\n    ", "for", " x in a:", "\n        ", "if x:", "\n            ", "t += 1",
    "\n    ", "u = 7", "\n    ", "b = t", "\n    ", "c = b", "[0]",
    "\n    ", "return c", "",
]  # fmt: skip


def judged(*tests: TestResult) -> tuple[RolloutGroup, Sample]:
    text = "".join(TOKENS)
    source = PREFIX + text
    numbering = number(parse(source), source.encode())
    statements = tuple(Statement(start, end, True) for start, end, _ in numbering.spans)
    verdict = Verdict("0", Outcome.runtime_error, tests, statements=statements)
    completion = Completion(
        sample_id=0,
        token_ids=tuple(range(len(TOKENS))),
        logprobs=(-1.0,) * len(TOKENS),
        finish_reason="stop",
        weight_version=0,
    )
    program = Program(source, len(PREFIX.encode()), 0, len(text.encode()))
    lengths = tuple(len(token.encode()) for token in TOKENS)
    sample = Sample(0, completion, program, text, lengths, verdict)
    problem = Problem(
        id="p", question="q", solution=source, fn_name="f", tests=(Test(input=[0], output=0),)
    )
    prompt = Prompt(ids=(1, 2), prefix=PREFIX, in_code_fence=False)
    subtask = Subtask(problem, 0, 1, PREFIX, text)
    return RolloutGroup(subtask, prompt, (sample,)), sample


def test_the_blamed_tokens_of_a_program_that_raised_are_as_marked_by_hand() -> None:
    """Every statement ran; `c = b[0]` raised, and `t` and what counts it up led to it."""
    group, sample = judged(TestResult(TestOutcome.runtime_error, "TypeError", 8))
    made = trajectory(group, sample, Reward(-0.6, {}))
    assert all(made.executed_mask)
    assert made.blamed_mask is not None
    masked = [at for at, flag in enumerate(made.blamed_mask) if not flag]
    assert masked == [7, 8, 14, 15], "`u = 7` and `return c`, with the newline before each"


def test_without_an_exception_there_is_no_blame() -> None:
    group, sample = judged(TestResult(TestOutcome.failed, "1, not 2"))
    assert trajectory(group, sample, Reward(-0.3, {})).blamed_mask is None


def test_the_tokens_in_common_with_the_canonical_solution_are_as_marked_by_hand() -> None:
    group, sample = judged(TestResult(TestOutcome.failed, "1, not 2"))
    text = "".join(TOKENS)

    def agreed(solution: str, sample: Sample = sample) -> tuple[int, int] | None:
        problem = group.subtask.problem.model_copy(update={"solution": solution})
        asked = replace(group, subtask=replace(group.subtask, problem=problem))
        return trajectory(asked, sample, Reward(-0.3, {})).agreed

    assert agreed(PREFIX + text.replace("u = 7", "u = 8")) == (0, 7), "before the newline of `u`"
    assert agreed(PREFIX + text.replace("for x in a", "for y in a")) == (0, 0)
    assert agreed("") == (0, 0), "all of the program differs"
    assert agreed(PREFIX + text) is None
    passed = replace(sample, verdict=replace(sample.verdict, outcome=Outcome.passed))
    assert agreed("", passed) is None
    tampered = replace(sample, verdict=replace(sample.verdict, coverage_tampered=True))
    assert agreed("", tampered) is None
    # Reasoning before the program led to all of it: it is not in common with anything.
    reasoned = replace(
        sample,
        text="Hm." + text,
        program=replace(sample.program, begin=3, end=3 + len(text.encode())),
        token_lengths=(3, *sample.token_lengths[:-1]),
    )
    assert agreed(PREFIX + text.replace("u = 7", "u = 8"), reasoned) == (1, 8)


def test_programs_that_passed_are_offered_for_prefixes_without_their_preamble() -> None:
    group, sample = judged(TestResult(TestOutcome.passed))
    passed = replace(sample, verdict=replace(sample.verdict, outcome=Outcome.passed))
    behind = replace(passed, program=replace(passed.program, source="import os\n" + PREFIX))
    tampered = replace(passed, verdict=replace(passed.verdict, coverage_tampered=True))
    problem = group.subtask.problem.model_copy(update={"preamble": "import os\n"})
    group = replace(
        group,
        subtask=replace(group.subtask, problem=problem),
        samples=(sample, passed, behind, tampered),
    )
    tokens = len(group.prompt.ids) + len(TOKENS)
    assert own_programs(group, tokens) == [passed.program.source, PREFIX]
    assert own_programs(group, tokens - 1) == []
