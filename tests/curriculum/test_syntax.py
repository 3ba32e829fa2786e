"""Python's parser in several threads of one process."""

import ast
import threading
import time
import warnings

import pytest

from curriculum.syntax import parse


def test_threads_parse_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 raises SystemError where another thread parses meanwhile."""
    inside, most, real = 0, 0, ast.parse

    def slow(source: str) -> ast.Module:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.002)
        inside -= 1
        return real(source)

    monkeypatch.setattr(ast, "parse", slow)
    filters = list(warnings.filters)
    threads = [threading.Thread(target=parse, args=("x = 1",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert warnings.filters == filters


def test_what_the_garbage_collector_calls_may_parse_too(monkeypatch: pytest.MonkeyPatch) -> None:
    real, depth = ast.parse, 0

    def interrupted(source: str) -> ast.Module:
        nonlocal depth
        depth += 1
        return parse(source) if depth < 3 else real(source)

    monkeypatch.setattr(ast, "parse", interrupted)
    thread = threading.Thread(target=parse, args=("x = 1",), daemon=True)
    thread.start()
    thread.join(20)
    assert (thread.is_alive(), depth) == (False, 3)
