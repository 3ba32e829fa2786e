"""The records of a child, parsed: untrusted bytes in, plain values or `Malformed` out."""

from typing import Any, NamedTuple, cast

from sandbox.errors import SandboxError
from sandbox.runner import values
from sandbox.runner.values import Opaque, Value

MAX_ERROR_CHARS = 1000


class Malformed(SandboxError):
    """Records that the runner's code never writes, so the program wrote them itself."""


class Record(NamedTuple):
    """One line `KIND INDEX JSON`; the kinds are listed in `sandbox.runner.child`."""

    kind: bytes
    test: int
    """The test's position; -1: before the first."""
    content: Value


class Span(NamedTuple):
    """The bytes `[start, end)` of one statement; see `sandbox.runner.statements.Span`."""

    start: int
    end: int
    alias: int


class ProcessEnd(NamedTuple):
    """How the process of a stdin test ended."""

    status: int
    """As `os.waitpid` returns it."""
    printed: str


class ErrorReport(NamedTuple):
    """What a program raised, or why it does not compile."""

    type_name: str
    text: str
    """`Type: message`, at most `MAX_ERROR_CHARS`."""
    line: int | None
    """1-based, in the program; None if unknown."""


def parse_record(line: bytes) -> Record:
    """One record, without its line end.

    Raises:
        Malformed: it has no number or no valid JSON where one belongs.
    """
    kind, _, rest = line.partition(b" ")
    number, _, text = rest.partition(b" ")
    try:
        test = int(number)
        return Record(kind, test, values.loads_result(text))
    except RecursionError:  # an honest program may return this: its output then equals nothing
        return Record(kind, int(number), Opaque("deeply nested"))
    except (ValueError, MemoryError) as error:
        raise Malformed("a record is malformed") from error


def parse_end(content: Value) -> ProcessEnd:
    """The content `[status, text]` of a stdin test's record.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(content, list) or len(content) != 2:
        raise Malformed("the record of a process is malformed")
    status, printed = content
    if type(status) is not int or not 0 <= status <= 0xFFFF or not isinstance(printed, str):
        raise Malformed("the record of a process is malformed")
    return ProcessEnd(status, printed)


def parse_error(content: Value) -> ErrorReport:
    """The content `[type, message, line or null]` of an error record.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(content, list) or len(content) != 3:
        raise Malformed("an error record is malformed")
    kind, message, line = content
    if not isinstance(kind, str) or not isinstance(message, str):
        raise Malformed("an error record is malformed")
    text = f"{kind}: {message}" if message else kind
    known_line = line if isinstance(line, int) and line > 0 else None
    return ErrorReport(kind, text[:MAX_ERROR_CHARS], known_line)


def parse_spans(content: Value, size: int) -> list[Span]:
    """The statements `[[start, end, alias], ...]` of a source of `size` bytes.

    Raises:
        Malformed: they are not disjoint, in order and within the source.
    """
    if not isinstance(content, list):
        raise Malformed("the statements are malformed")
    spans: list[Span] = []
    previous_end = 0
    for item in content:
        fields = cast("list[Any]", item) if isinstance(item, list) else []
        if len(fields) != 3 or any(type(field) is not int for field in fields):
            raise Malformed("the statements are malformed")
        span = Span(*fields)
        if not previous_end <= span.start < span.end <= size or not 0 <= span.alias <= len(content):
            raise Malformed("the statements overlap or lie outside the source")
        previous_end = span.end
        spans.append(span)
    return spans
