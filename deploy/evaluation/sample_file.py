"""Samples in a file: EvalPlus' JSONL of `task_id` and `solution`, and our own."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from actors.evaluation.records import GeneratedSample, SampleKey
from actors.evaluation.sample_log import sample_of_row
from curriculum.answer.assemble import assemble
from curriculum.config import AnswerConfig
from curriculum.datasets.jsonl import decode_line, nonblank_lines
from curriculum.errors import BadRecord
from curriculum.problem import Problem
from curriculum.prompt import Prompt
from deploy.errors import ConfigError
from deploy.evaluation.suites import Suite, task_id

logger = logging.getLogger(__name__)

_FORM = "a file of samples is JSONL: on each line one object with `task_id` and `solution`"
_Holders = Sequence[tuple[Suite, Problem]]


def read_samples(
    path: Path,
    suites: Sequence[Suite],
    limited: bool = False,
    answer: AnswerConfig | None = None,
) -> list[GeneratedSample]:
    """The samples of a file for the problems of `suites`, in the file's order; plain or `.gz`.

    A line holds `task_id` and `solution` (a whole program), or in place of it `completion`, what a
    model wrote: the program in it is found as in an answer that continues the problem's starter
    code, or gives the whole program anew. Lines of one problem are its samples. Case
    does not matter in a `task_id`, unless it tells two problems apart: EvalPlus writes `Mbpp/2`.
    A solution that does not begin with
    its problem's preamble gets it. Where several suites hold a problem, such as HumanEval and
    HumanEval+, its samples are for each.

    Args:
        path: the file.
        suites: whose problems the samples are for.
        limited: whether `suites` hold some of their problems only; samples of others are then left
            out, and their number is logged with the first of them.
        answer: how the program in a `completion` is found.

    Of our own lines the completion and its counts are kept as well, of others the program only, or
    the completion that it was found in and what was cut.

    Raises:
        ConfigError: a `task_id` is none of the suites', or two problems' of one suite, a line lacks
            what it needs, or a problem has no sample.
        BadRecord: a line is no JSON object.
    """
    problems = _by_name(suites)
    samples: list[GeneratedSample] = []
    counts: Counter[tuple[str, str]] = Counter()
    left_out: list[str] = []
    for number, line in nonblank_lines(path):
        where = f"line {number}"
        row = _decode(path, where, line)
        holders = _holders(f"{path}: {where}", row, problems, suites)
        if not holders and limited:
            left_out.append(f"{row['task_id']} in {where}")
            continue
        if not holders:
            raise ConfigError(
                f"{path}: {where}: task_id {row['task_id']!r} is no problem of "
                f"{', '.join(suite.name for suite in suites)}; name its suite with --suite"
            )
        # A file of ours has a line for each suite.
        for suite, problem in [h for h in holders if h[0].name == row.get("suite")] or holders:
            key = SampleKey(suite.name, problem.id, counts[suite.name, problem.id])
            counts[suite.name, problem.id] += 1
            name = task_id(problem)
            read = _own(row) or _foreign(row, problem, f"{path}: {where}", answer)
            samples.append(replace(read, key=key, task_id=name))
    if not samples and not left_out:
        raise ConfigError(f"{path}: no sample in it; {_FORM}")
    _refuse_missing(path, suites, counts, left_out)
    if left_out:
        count, first = len(left_out), left_out[0]
        logger.info(
            "%s: %d samples of other problems left out (--limit), first %s", path, count, first
        )
    return samples


def _decode(path: Path, where: str, line: bytes | None) -> dict[str, Any]:
    """The object on a line.

    Raises:
        BadRecord: there is none; the message says what the file should hold.
    """
    try:
        row = decode_line(path, where, line)
    except BadRecord as error:
        remedy = "it must be UTF-8" if error.field == "text" else _FORM
        raise BadRecord(path, where, error.field, f"{error.reason}; {remedy}") from None
    if not isinstance(row, dict):
        raise BadRecord(path, where, "record", f"not an object; {_FORM}")
    return row


def _by_name(suites: Sequence[Suite]) -> dict[str, list[tuple[Suite, Problem]]]:
    """The problems that a `task_id` may name, by its lower-case form."""
    problems: dict[str, list[tuple[Suite, Problem]]] = {}
    for suite in suites:
        for problem in suite.problems:
            for name in {problem.id.casefold(), task_id(problem).casefold()}:
                problems.setdefault(name, []).append((suite, problem))
    return problems


def _holders(
    where: str, row: dict[str, Any], problems: Mapping[str, _Holders], suites: Sequence[Suite]
) -> _Holders:
    """The problem that a line is for, in each of the suites that hold it."""
    name = row.get("task_id")
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise ConfigError(f"{where}: no `task_id`, the id of the problem that the sample is for")
    found = problems.get(str(name).casefold(), ())
    holders: list[tuple[Suite, Problem]] = []
    for suite in suites:
        of_suite = [held for held in found if held[0] is suite]
        exact = [held for held in of_suite if str(name) in (held[1].id, task_id(held[1]))]
        if len(exact or of_suite) > 1:
            ids = ", ".join(problem.id for _, problem in exact or of_suite)
            raise ConfigError(
                f"{where}: task_id {name!r} may be any of {ids} of {suite.name}; write it as there"
            )
        holders += exact or of_suite
    return holders


def _own(row: dict[str, Any]) -> GeneratedSample | None:
    """The sample of a line that an evaluation wrote; None for any other line."""
    if not {"suite", "problem", "sample", "program_bytes", "cuts"} <= row.keys():
        return None
    try:
        sample = sample_of_row(dict(row))
        if not _typed(sample):
            return None
        return sample if _fits(sample) else replace(sample, program_bytes=None, cuts=())
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _typed(sample: GeneratedSample) -> bool:
    """Whether the values that figures and pages are made of have their types."""
    texts = sample.completion, sample.finish_reason
    counts = sample.prompt_tokens, sample.completion_tokens
    return (
        isinstance(sample.solution, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        and all(isinstance(text, str | None) for text in texts)
        and all(isinstance(count, int) for count in counts)
    )


def _fits(sample: GeneratedSample) -> bool:
    """Whether the program still ends with what is left of the completion: it may be edited."""
    if sample.completion is None or sample.program_bytes is None:
        return True
    text, (at, end) = sample.completion.encode(errors="surrogatepass"), sample.program_bytes
    kept = b""
    for first, last, _ in (*sorted(sample.cuts), (end, end, "")):
        kept += text[at : min(first, end)]
        at = max(at, last)
    return sample.solution.encode(errors="surrogatepass").endswith(kept)


def _foreign(
    row: dict[str, Any], problem: Problem, where: str, answer: AnswerConfig | None
) -> GeneratedSample:
    """The sample of a line of another tool, its key and `task_id` left to the caller."""
    key = SampleKey("", problem.id, 0)
    solution, completion = row.get("solution"), row.get("completion")
    if isinstance(solution, str):
        return GeneratedSample(key, "", problem.program_of(solution))
    if not isinstance(completion, str):
        raise ConfigError(
            f"{where}: no `solution`, the whole program as text, and no `completion`, the text "
            f"that a model wrote"
        )
    program = assemble(problem, Prompt((), problem.starter_code, False), completion, answer)
    return GeneratedSample(
        key,
        "",
        program.source,
        completion=completion,
        program_bytes=(program.begin, program.end),
        cuts=tuple((cut.begin, cut.end, cut.rule) for cut in program.cuts),
    )


def _refuse_missing(
    path: Path, suites: Sequence[Suite], counts: Counter[tuple[str, str]], left_out: Sequence[str]
) -> None:
    others = (
        f" ({len(left_out)} samples are of other problems, first {left_out[0]})" if left_out else ""
    )
    for suite in suites:
        missing = [p.id for p in suite.problems if not counts[suite.name, p.id]]
        if missing:
            raise ConfigError(
                f"{path}: {len(missing)} of {len(suite.problems)} problems of {suite.name} have no "
                f"sample, such as {missing[0]}{others}; a pass rate over the others would say too "
                f"much. Add them, or evaluate the first problems only with --limit"
            )
