"""Which statements a program executes, the slow and obvious way: by a mark before each of them."""

import ast
import re

from curriculum.problem import Test
from sandbox import Job, Sandbox, Statement

HARNESS = """
cache = {}
def oracle(text, first, last):
    if text not in cache:
        marks = cache[text] = set()
        def mark__(key, value=False):
            marks.add(key)
            return value
        try:
            exec(compile(text, "marked", "exec"), {"__name__": "__main__", "mark__": mark__})
        except BaseException:
            pass
    return sorted(cache[text])[first:last]
"""
AT_ONCE = 10


class Oracle:
    """Marks a program and runs it in a sandbox slot."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox

    def executed(self, source: str) -> dict[int, bool]:
        """Byte offset of each statement, `except` and `case` -> whether control reached it."""
        tree = ast.parse(source)
        marker = _Marker(source)
        marker.suite(tree.body)
        text = ast.unparse(ast.fix_missing_locations(tree))
        # A verdict shows what was returned in a short message only: ask for a few marks at once.
        tests = tuple(
            Test(input=[text, first, first + AT_ONCE], output=None)
            for first in range(0, len(marker.keys), AT_ONCE)
        )
        job = Job(id="oracle", source=HARNESS, fn_name="oracle", tests=tests)
        marks: set[int] = set()
        for test in self.sandbox.run(job).tests:
            said = test.message.removeprefix("expected None, got ")
            marks.update(ast.literal_eval(said))
        return {key: key in marks for key in marker.keys}


def disagreements(
    expected: dict[int, bool], statements: tuple[Statement, ...], source: str
) -> list[str]:
    """Where coverage and oracle differ, in words; an `else` or `finally` must follow its suite."""
    data, wrong = source.encode(), []
    covered = {statement.start for statement in statements}
    for start in expected.keys() - covered:
        wrong.append(f"no statement at byte {start}: {data[start : start + 20]!r}")
    for index, (start, end, executed) in enumerate(statements):
        text = data[start:end].decode()
        truth = expected.get(start)
        if truth is None:
            if text.split(":")[0].strip() not in ("else", "finally"):
                wrong.append(f"not a statement: {text!r}")
                continue
            truth = statements[index + 1].executed
        if truth and not executed:
            wrong.append(f"missed: {text!r}")
        if executed and not truth:
            wrong.append(f"false: {text!r}")
    return wrong


class _Marker:
    def __init__(self, source: str):
        self.keys: list[int] = []
        self.data = source.encode()
        self.starts = [0, *(match.end() for match in re.finditer(rb"\r\n|\r|\n", self.data))]

    def key(self, node: ast.AST) -> int:
        offset = self.starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        decorators = getattr(node, "decorator_list", None)
        if decorators:
            first = decorators[0]
            offset = self.data.rindex(b"@", 0, self.starts[first.lineno - 1] + first.col_offset)
        self.keys.append(offset)
        return offset

    def mark(self, key: int) -> ast.stmt:
        return ast.parse(f"mark__({key})").body[0]

    def suite(self, body: list[ast.stmt]) -> None:
        marked: list[ast.stmt] = []
        for statement in body:
            key = self.key(statement)
            self.inside(statement)
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                marked = [statement, *marked, self.mark(key)]  # nothing may stand before it
                continue
            marked += [self.mark(key), statement]
        body[:] = marked

    def inside(self, node: ast.AST) -> None:
        for handler in getattr(node, "handlers", ()):
            key = self.key(handler)
            self.suite(handler.body)
            if handler.type is None:
                handler.body.insert(0, self.mark(key))
            else:
                call = ast.parse(f"mark__({key}, 0)").body[0].value  # type: ignore[attr-defined]
                call.args[1] = handler.type
                handler.type = call
        cases = []
        for case in getattr(node, "cases", ()):
            pattern = case.pattern
            at = self.starts[pattern.lineno - 1] + pattern.col_offset
            key = self.data.rindex(b"case", 0, at)
            self.keys.append(key)
            self.suite(case.body)
            probe = ast.parse(f"match 0:\n case _ if mark__({key}): pass").body[0].cases[0]  # type: ignore[attr-defined]
            cases += [probe, case]
        if cases:
            node.cases = cases  # type: ignore[attr-defined]
        for field in ("body", "orelse", "finalbody"):
            content = getattr(node, field, None)
            if isinstance(content, list):
                self.suite(content)
