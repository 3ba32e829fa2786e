import pickle

from curriculum.errors import BadRecord


def test_bad_records_can_be_pickled():
    error = BadRecord("a.jsonl", "line 1", "id", "missing")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "a.jsonl: line 1: id: missing"
