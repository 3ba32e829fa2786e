"""What a checker program said of an output, from the reply of the runner in which it ran.

A checker says yes or no by the last word that it prints: `1`, `yes`, `true`, `ok`, `accepted`,
`correct` or a number of at least 1 is yes; `0`, `no`, `false`, `wrong`, `incorrect`, `wa` or a
smaller number is no. Without a word status 0 is yes; status 1 or 2 (`sys.exit(1)`, as checkers of
testlib end) is no. Everything else is neither: an exception, a time limit, another word, a yes with
a status other than 0.

A checker that says neither has met an output that it cannot read, or does not work. It shows which
by the expected output in place of the judged one: if it accepts that, the judged one is wrong.
Otherwise the checker has failed: there is no verdict on the output, neither a pass nor a failure.

A yes at the end of a longer text does not count if it occurs in the output that was judged: the
checker may have printed that output, and so the program the yes. Then there is no verdict either.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from sandbox.channel import Reply
from sandbox.judging.comparison import OUTPUT_CHARS, shortened
from sandbox.judging.records import ErrorReport, Malformed, parse_end, parse_error, parse_record
from sandbox.verdict import TestOutcome, TestResult

YES = frozenset({"yes", "true", "ok", "accepted", "ac", "correct"})
NO = frozenset({"no", "false", "wrong", "incorrect", "wa", "rejected"})
REFUSING_STATUSES = (1, 2)
SHOWN_CHARS = 200


class _Run(NamedTuple):
    printed: str
    status: int
    """As `os.waitpid` returns it."""
    raised: ErrorReport | None


class Judgement(NamedTuple):
    """What comes of a test."""

    result: TestResult
    late: bool
    """The checker took its whole time limit."""


class _Saying(NamedTuple):
    yes: bool | None
    """None: neither yes nor no."""
    reason: str = ""
    copied: bool = False
    """It is a yes that may be a part of the output."""


def judged(output: str, expected: str, run: Callable[[str], Reply]) -> Judgement:
    """Have the checker judge a test's `output`; `run` runs the checker on an output."""
    reply = run(output)
    said, late = _said(reply, output), reply.exit.timed_out
    if said.copied:
        text = f"{said.reason} at the end of what it printed may be a part of the output"
        return Judgement(_failure(text), late)
    if said.yes:
        return Judgement(TestResult(TestOutcome.passed), late)
    if said.yes is False:
        reason = f"the checker refuses the output: {said.reason}"
    elif _said(run(expected), expected).yes:
        reason = f"the checker fails on this output, not on the expected one: {said.reason}"
    else:
        return Judgement(_failure(said.reason), late)
    given = shortened(output, OUTPUT_CHARS)
    return Judgement(TestResult(TestOutcome.failed, reason, output=given), late)


def _said(reply: Reply, output: str) -> _Saying:
    """What the checker said of `output`."""
    try:
        run = _parsed(reply)
    except Malformed as error:
        return _Saying(None, str(error))
    if isinstance(run, str):
        return _Saying(None, run)
    if run.raised is not None and run.raised.type_name != "SystemExit":
        return _Saying(None, run.raised.text)
    if not os.WIFEXITED(run.status):
        return _Saying(None, "its process was killed")
    status, words = os.WEXITSTATUS(run.status), run.printed.split()
    yes = _is_yes(words[-1]) if words else None
    if status == 0 and (yes or not words):
        copied = len(words) > 1 and words[-1] in output
        return _Saying(True, repr(words[-1]) if words else "", copied)
    if (status == 0 and yes is False) or (status in REFUSING_STATUSES and not yes):
        return _Saying(False, " ".join(words)[:SHOWN_CHARS] or f"status {status}")
    return _Saying(None, f"status {status}, last word {shortened(words[-1]) if words else 'none'}")


def _parsed(reply: Reply) -> _Run | str:
    """How one run of the checker ended; or why it has no end."""
    if reply.exit.timed_out:
        return "time limit"
    raised: ErrorReport | None = None
    for line in reply.records.split(b"\n")[:-1]:
        record = parse_record(line)
        if record.kind == b"c":
            return parse_error(record.content).text
        if record.kind == b"e":
            raised = parse_error(record.content)
        if record.kind == b"o":
            end = parse_end(record.content)
            return _Run(end.printed, end.status, raised)
    return raised.text if raised else "its process died"


def _is_yes(word: str) -> bool | None:
    """What a word says; None if it says neither."""
    word = word.strip(".,:;!()[]\"'").casefold()
    if word in YES or word in NO:
        return word in YES
    try:
        score = float(word.removesuffix("%"))
    except ValueError:
        return None
    return None if score != score else score >= 1


def _failure(reason: str) -> TestResult:
    return TestResult(TestOutcome.checker_failed, f"the checker failed: {reason}")
