import gzip
import json

import pytest


@pytest.fixture
def write_records(tmp_path):
    """Writes records (objects, or lines of text) as JSONL; a name in `.gz` compresses the file."""

    def write(*records, name="data.jsonl"):
        path = tmp_path / name
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        content = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write
