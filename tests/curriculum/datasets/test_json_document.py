"""One JSON document of records: the same records as `json.loads` gives, in bounded memory."""

import gzip
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.datasets import json_document as module
from curriculum.datasets.json_document import json_document
from curriculum.errors import BadRecord

VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False),
        st.text(max_size=9),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)  # fmt: skip
RECORDS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@given(
    records=st.lists(RECORDS, max_size=6),
    indent=st.sampled_from([None, 0, 3]),
    chunk=st.integers(1, 40),
    as_object=st.booleans(),
)
def test_every_chunk_size_gives_the_records_of_the_document(
    tmp_path_factory, records, indent, chunk, as_object
):
    path = tmp_path_factory.mktemp("documents") / "d.json"
    keys = [f'k"{index}\n' if as_object else None for index in range(len(records))]
    as_object = as_object and bool(records)
    document = dict(zip(keys, records, strict=True)) if as_object else records
    path.write_text(json.dumps(document, indent=indent) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        streamed = list(json_document(path))
    assert streamed == list(zip(keys, records, strict=True))


@pytest.mark.parametrize("text", ['{"a": 1, "b": {}}', "5", '"x"', "{}"])
def test_a_document_that_holds_no_records_is_one_record(tmp_path, text):
    path = tmp_path / "d.json"
    path.write_text(text)
    assert list(json_document(path)) == [(None, json.loads(text))]


def test_white_space_at_the_end_of_a_chunk_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 1)
    path = tmp_path / "d.json"
    path.write_text('{"k":   {"a": 1}}')
    assert list(json_document(path)) == [("k", {"a": 1})]


def test_a_number_may_continue_in_the_next_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 1)
    path = tmp_path / "d.json"
    path.write_text("[123, 4.5e6, -7]")
    assert [value for _, value in json_document(path)] == [123, 4.5e6, -7]


@pytest.mark.parametrize("whole", [False, True])
def test_a_large_document_is_never_whole_in_memory(tmp_path, whole):
    """The check can fail: `json.loads` of the same file takes more than the limit."""
    path = tmp_path / "large.json"
    record = {"question": "q" * 20_000, "inputs": [[1], [2]]}
    with path.open("w") as file:
        file.write("[" + ",\n".join(json.dumps(record) for _ in range(700)) + "]")
    limit = 6 * module.CHUNK
    assert path.stat().st_size > 2 * limit
    tracemalloc.start()
    count = len(json.loads(path.read_text())) if whole else sum(1 for _ in json_document(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 700
    assert (peak > limit) == whole


def test_a_huge_record_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_RECORD_BYTES", 100)
    monkeypatch.setattr(module, "CHUNK", 10)
    path = tmp_path / "d.json"
    path.write_text(json.dumps([{"a": 1}, {"a": "x" * 5_000}]))
    with pytest.raises(BadRecord, match=r"d\.json: record 2: record: longer than"):
        list(json_document(path))


def test_a_damaged_gzip_and_bytes_that_are_not_utf8_are_named(tmp_path):
    packed = tmp_path / "d.json.gz"
    packed.write_bytes(gzip.compress(json.dumps([{"a": 1}] * 999).encode())[:-20])
    with pytest.raises(BadRecord, match="or later: gzip: damaged or cut short"):
        list(json_document(packed))
    path = tmp_path / "d.json"
    path.write_bytes(b'[{"a": "\xff"}]')
    with pytest.raises(BadRecord, match="record 1 or later: text: "):
        list(json_document(path))
