"""Which prompts fit: the length of every problem's prompt at every stage, and what is left out.

A problem whose whole task does not fit is left out: its curriculum ends there, and an evaluation
asks nothing else. A problem of which only some stages do not fit, those with the longest prefixes,
keeps the others, and its curriculum begins at the easiest stage that fits.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curriculum.problem import TIERS, Problem, Tier
from curriculum.prompts.encode import PromptEncoder
from curriculum.subtask import FULL_TASK, cut_before

NAMED = 10
"""Problems that a message names; it counts the others."""


@dataclass(frozen=True)
class TooLong:
    """A problem whose whole task does not fit."""

    problem_id: str
    tier: Tier
    tokens: int
    """Length of its prompt."""


@dataclass(frozen=True)
class Fit:
    """The problems whose prompts fit, and the others."""

    problems: list[Problem]
    """Those whose whole task fits, in order."""
    too_long: tuple[TooLong, ...]
    """Those that are left out, in order."""
    stage_limits: dict[str, int]
    """How many stages fit, by the id of each kept problem of which not all do."""


def prompt_lengths(
    encoder: PromptEncoder, problem: Problem, offsets: tuple[int, ...] = ()
) -> tuple[int, ...]:
    """Tokens of a problem's prompts: of the whole task, then of stages 0, 1, ...

    Args:
        encoder: as the run's.
        problem: what is asked.
        offsets: where the prefix of each stage ends.

    Raises:
        CurriculumError: a prompt cannot be made; names the problem.
    """
    stages = range(FULL_TASK, len(offsets))
    return tuple(len(encoder.encode(cut_before(problem, stage, offsets)).ids) for stage in stages)


def fit(problems: Sequence[Problem], lengths: Mapping[str, Sequence[int]], longest: int) -> Fit:
    """Divide problems by whether their prompts fit.

    Args:
        problems: with distinct ids.
        lengths: `prompt_lengths` of each, by id.
        longest: tokens that a prompt may have.
    """
    kept: list[Problem] = []
    too_long: list[TooLong] = []
    limits: dict[str, int] = {}
    for problem in problems:
        whole, *stages = lengths[problem.id]
        if whole > longest:
            too_long.append(TooLong(problem.id, problem.difficulty, whole))
            continue
        kept.append(problem)
        fitting = next((i for i, tokens in enumerate(stages) if tokens > longest), len(stages))
        if fitting < len(stages):
            limits[problem.id] = fitting
    return Fit(kept, tuple(too_long), limits)


def unnamed_message(ids: Sequence[str]) -> str:
    """What a person is told of problems whose prompt names no function."""
    return (
        f"the prompt of {len(ids)} problems names no function, so that only a policy that was "
        f"taught these prompts can answer: {named(ids)}; set prompt.template to one that says "
        f"{{{{ interface }}}}, such as plain"
    )


def by_tier(tiers: Sequence[Tier]) -> str:
    """Counts by tier, such as `2 introductory, 1 competition`."""
    counts = Counter(tiers)
    return ", ".join(f"{counts[tier]} {tier}" for tier in TIERS if counts[tier])


def named(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
