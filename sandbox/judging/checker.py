"""What a checker program said of an output, from the reply of the runner in which it ran.

A checker says yes or no by the last word that it prints: `1`, `yes`, `true`, `ok`, `accepted`,
`correct` or a number of at least 1 is yes; `0`, `no`, `false`, `wrong`, `incorrect`, `wa` or a
smaller number is no. Without a word status 0 is yes; status 1 or 2 (`sys.exit(1)`, as checkers of
testlib end) is no. Everything else is a failure of the checker: an exception, a time limit, another
word, a yes with a status other than 0. Then there is no verdict on the output, neither a pass nor a
failure.

A yes at the end of a longer text does not count if it occurs in the output that was judged: the
checker may have printed that output, and so the program the yes.
"""

import os
from typing import NamedTuple

from sandbox.channel import Reply
from sandbox.judging.comparison import shortened
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


def checked(reply: Reply, output: str) -> TestResult:
    """The result of the test whose `output` the checker judged."""
    try:
        run = _parsed(reply)
    except Malformed as error:
        return _failure(str(error))
    if isinstance(run, str):
        return _failure(run)
    if run.raised is not None and run.raised.type_name != "SystemExit":
        return _failure(run.raised.text)
    if not os.WIFEXITED(run.status):
        return _failure("its process was killed")
    status, said = os.WEXITSTATUS(run.status), run.printed.split()
    yes = _is_yes(said[-1]) if said else None
    if yes and len(said) > 1 and said[-1] in output:
        return _failure(f"{said[-1]!r} at the end of what it printed may be a part of the output")
    if status == 0 and (yes or not said):
        return TestResult(TestOutcome.passed)
    if (status == 0 and yes is False) or (status in REFUSING_STATUSES and not yes):
        reason = " ".join(said)[:SHOWN_CHARS] or f"status {status}"
        return TestResult(TestOutcome.failed, f"the checker refuses the output: {reason}")
    return _failure(f"status {status}, last word {shortened(said[-1]) if said else 'none'!r}")


def _parsed(reply: Reply) -> _Run | str:
    """How the checker's only run ended; or why it has no end."""
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
