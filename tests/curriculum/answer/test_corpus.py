"""Completions as models write them, with the program's stretch marked by hand."""

import pytest

from deploy.bench.sandbox.answers import MarkedAnswer, read_corpus

CORPUS = read_corpus()


@pytest.mark.parametrize("marked", CORPUS, ids=[f"{m.kind}: {m.name}" for m in CORPUS])
def test_the_program_is_the_marked_stretch(marked: MarkedAnswer) -> None:
    program = marked.found
    text = marked.completion.encode()
    found = text[program.begin : program.end].decode()
    assert found == text[marked.begin : marked.end].decode()
    assert marked.right


def test_the_corpus_has_many_completions_of_many_kinds() -> None:
    assert len(CORPUS) >= 120
    assert len({marked.kind for marked in CORPUS}) >= 10
    assert len({(marked.kind, marked.name) for marked in CORPUS}) == len(CORPUS)
