"""LiveCodeBench (code generation): contest problems with a date, without solutions.

Private tests are JSON, or a pickled JSON text that is compressed and written in base 64. A release
is one or more of the files `test.jsonl` (v1), `test2.jsonl` (v2) and so on in one folder: `v5` are
the first five, `v4_v5` the fourth and fifth.

Outputs of functions are compared by value, where a list equals a tuple. Programs run behind the
imports that LiveCodeBench's own grader gives them.
"""

import base64
import json
import pickletools
import re
import zlib
from datetime import date
from pathlib import Path
from typing import Any, cast

from curriculum.datasets.reading.any_tests import lines_of_values
from curriculum.datasets.reading.format import Format, ReadOptions
from curriculum.datasets.reading.record import RecordReader
from curriculum.errors import UnusableData
from curriculum.problem import Problem, Tier

LEVELS: dict[str, Tier] = {
    "easy": "introductory",
    "medium": "interview",
    "hard": "competition",
}
_STARRED = ("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random",
            "statistics", "itertools", "functools", "operator", "io", "sys", "json", "builtins",
            "typing")  # fmt: skip
PREAMBLE = (
    "".join(f"from {name} import *\n" for name in _STARRED)
    + "".join(f"import {name}\n" for name in _STARRED[:-2])
    + "sys.setrecursionlimit(50000)\n"
)
"""As `lcb_runner/evaluation/testing_util.py` has it."""
MAX_TEST_BYTES = 1 << 30
"""Private tests that unpack to more are refused."""
_TEXT_OPCODES = frozenset({"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"})
_FRAMING_OPCODES = frozenset({"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"})
_FILE = re.compile(r"test(\d*)\.(?:jsonl|json|parquet)(?:\.gz)?")
_RELEASE = re.compile(r"(?:release_)?(?:v(\d+)|v(\d+)_v(\d+)|latest)")


def livecodebench_problem(record: RecordReader) -> Problem:
    """Public tests come first. A test's type says whether it calls a function."""
    records = _public_tests(record) + _private_tests(record)
    kinds = {record.get("testtype") for record in records}
    if not records or kinds - {"stdin", "functional"} or len(kinds) > 1:
        named = ", ".join(sorted(map(str, kinds))) or "no test in it"
        raise record.error("public_test_cases", f"testtype: {named}; expected stdin or functional")
    metadata: Any = record.decoded("metadata") if record.get("metadata") else {}
    fn_name = (
        cast(dict[str, Any], metadata).get("func_name") if isinstance(metadata, dict) else None
    )
    call_based = kinds == {"functional"}
    if call_based and not fn_name:
        raise record.error("metadata", "func_name: missing")
    return record.problem(
        id=f"livecodebench/{record.get('question_id')}",
        question=record.text("question_content").strip(),
        starter_code=record.text("starter_code", ""),
        preamble=PREAMBLE,
        solution="",
        fn_name=fn_name if call_based else None,
        tests=[_test(test, call_based) for test in records],
        comparison="close",
        difficulty=record.tier("difficulty", LEVELS),
        source="livecodebench",
        published=_day(record),
    )


def _day(record: RecordReader) -> date | None:
    """The day of the contest, where the record has one.

    Raises:
        BadRecord: it is no date.
    """
    value = record.get("contest_date")
    if value is None:
        return None
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise record.error("contest_date", f"{value!r} is no date") from None


def _public_tests(record: RecordReader) -> list[RecordReader]:
    return _test_records(record, "public_test_cases", record.decoded("public_test_cases"))


def _private_tests(record: RecordReader) -> list[RecordReader]:
    text = record.get("private_test_cases")
    if not isinstance(text, str) or text.lstrip()[:1] in ("[", ""):
        decoded: Any = record.decoded("private_test_cases") if text else []
        return _test_records(record, "private_test_cases", decoded)
    try:
        decoded = json.loads(unpickled_text(_decompressed(base64.b64decode(text, validate=True))))
    except (ValueError, RecursionError, zlib.error) as error:
        raise record.error("private_test_cases", f"cannot be unpacked: {error}") from None
    return _test_records(record, "private_test_cases", decoded)


def unpickled_text(pickled: bytes) -> str:
    """The text that a pickle holds; no instruction of the pickle is executed.

    Raises:
        ValueError: it holds anything else, or is no pickle.
    """
    text: str | None = None
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in _TEXT_OPCODES and text is None:
            text = cast(str, argument)
        elif opcode.name not in _FRAMING_OPCODES:
            raise ValueError(f"the pickle holds more than a text ({opcode.name})")
    if text is None:
        raise ValueError("the pickle holds no text")
    return text


def _decompressed(packed: bytes) -> bytes:
    reader = zlib.decompressobj()
    content = reader.decompress(packed, MAX_TEST_BYTES)
    if not reader.eof:
        whole = "it is longer than 1 GiB" if reader.unconsumed_tail else "it is cut short"
        raise ValueError(f"compressed text: {whole}")
    return content


def _test_records(record: RecordReader, name: str, decoded: Any) -> list[RecordReader]:
    if not isinstance(decoded, list):
        raise record.wrong_kind(name, "a list", decoded)
    tests = cast(list[Any], decoded)
    if not all(isinstance(test, dict) for test in tests):
        raise record.error(name, "must be a list of JSON objects")
    return [record.within(test) for test in tests]


def _test(test: RecordReader, call_based: bool) -> dict[str, Any]:
    if not call_based:
        return {"input": test.text("input"), "output": test.text("output")}
    return lines_of_values(test)


def _is_chosen(record: RecordReader, options: ReadOptions) -> bool:
    """Whether the contest was within the dates, both days included."""
    if options.first_day is None and options.last_day is None:
        return True
    day = _day(record)
    if day is None:
        raise record.error("contest_date", "missing")
    return (options.first_day or day) <= day <= (options.last_day or day)


def files_of_release(files: list[Path], release: str) -> list[Path]:
    """The files of a release.

    Raises:
        UnusableData: no such release, or one of its files is absent.
    """
    match = _RELEASE.fullmatch(release)
    if match is None:
        raise UnusableData(f"--release: {release!r} is none of v1, v2, ..., v4_v5, ..., latest")
    numbered = {int(found[1] or 1): f for f in files if (found := _FILE.fullmatch(f.name))}
    if not any(match.groups()):
        return [numbered[number] for number in sorted(numbered)]
    first, last = int(match[2] or 1), int(match[3] or match[1])
    absent = [number for number in range(first, last + 1) if number not in numbered]
    if absent or not numbered:
        name = "test.jsonl" if absent[0] == 1 else f"test{absent[0]}.jsonl"
        place = files[0].parent if files else "."
        raise UnusableData(f"--release {release}: {place} has no {name}, which it needs")
    return [numbered[number] for number in range(first, last + 1)]


FORMAT = Format(
    name="livecodebench",
    description="LiveCodeBench: dated contest problems for evaluation; no solutions",
    keys=("question_content", "question_id", "public_test_cases", "private_test_cases"),
    more_keys=frozenset(
        {"question_title", "platform", "contest_id", "contest_date", "starter_code", "metadata"}
    ),
    to_problem=livecodebench_problem,
    options=frozenset({"release", "dates"}),
    chosen=_is_chosen,
    files_of_release=files_of_release,
)
