"""The statements a program executes, found the slow and obvious way: a mark before each one."""

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
MARKS_PER_TEST = 10
"""A verdict shows what was returned in a short message only."""


class Oracle:
    """Marks a program and runs it in a sandbox slot."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox

    def executed(self, source: str) -> dict[int, bool]:
        """Whether control reached each statement, `except` and `case`, by its byte offset."""
        tree = ast.parse(source)
        marker = _Marker(source)
        marker.suite(tree.body)
        text = ast.unparse(ast.fix_missing_locations(tree))
        tests = tuple(
            Test(input=[text, first, first + MARKS_PER_TEST], output=None)
            for first in range(0, len(marker.keys), MARKS_PER_TEST)
        )
        job = Job(id="oracle", source=HARNESS, fn_name="oracle", tests=tests)
        marks: set[int] = set()
        for test in self.sandbox.run(job).tests:
            marks.update(ast.literal_eval(test.message.removeprefix("expected None, got ")))
        return {key: key in marks for key in marker.keys}


def disagreements(
    expected: dict[int, bool], statements: tuple[Statement, ...], source: str
) -> list[str]:
    """Where coverage and oracle differ; an `else` or `finally` must agree with its suite."""
    data = source.encode()
    covered = {statement.start for statement in statements}
    differences = [
        f"no statement at byte {start}: {data[start : start + 20]!r}"
        for start in expected.keys() - covered
    ]
    for index, (start, end, executed) in enumerate(statements):
        text = data[start:end].decode()
        reached = expected.get(start)
        if reached is None:
            if text.split(":")[0].strip() not in ("else", "finally"):
                differences.append(f"not a statement: {text!r}")
                continue
            reached = statements[index + 1].executed
        if reached and not executed:
            differences.append(f"missed: {text!r}")
        if executed and not reached:
            differences.append(f"false: {text!r}")
    return differences


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
