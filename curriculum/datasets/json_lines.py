"""JSONL files of other people, plain or gzipped, one record in memory at a time."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from curriculum.datasets.jsonl import BadRecord, too_long, visible_lines


def json_lines(path: Path) -> Iterator[tuple[int, "dict[str, Any] | BadRecord"]]:
    """Stream (index from 0, record) over a file's lines that are not blank.

    A line that is no JSON object comes as a `BadRecord`, and the next line follows. Raises what
    `visible_lines` raises.
    """
    for index, (_, line) in enumerate(visible_lines(path)):
        where = f"record {index}"
        yield index, too_long(path, where) if line is None else _record(path, where, line)


def is_json_lines(path: Path) -> bool:
    """Whether a file's first line is a JSON object, and not its only line."""
    first = [record for _, record in islice(json_lines(path), 2)]
    return len(first) == 2 and isinstance(first[0], dict)


def _record(path: Path, where: str, line: bytes) -> "dict[str, Any] | BadRecord":
    try:
        record = json.loads(line)
    except UnicodeDecodeError as error:
        return BadRecord(path, where, "text", str(error))
    except (ValueError, RecursionError) as error:
        return BadRecord(path, where, "json", str(error))
    if not isinstance(record, dict):
        return BadRecord(path, where, "record", f"an object is wanted, not {type(record).__name__}")
    return record
