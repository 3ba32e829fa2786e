"""Whether code is Python by the grammar of the sandbox's interpreter, whatever the host's is.

The grammar is tree-sitter's: it knows the newest syntax (PEP 695, 696, 701), its time is linear
where the code is right, and it runs on no interpreter of ours. Two things are added to it: it still
accepts Python 2's statements, and it takes quadratic time for thousands of continued lines.
"""

import re
from collections.abc import Sequence

import tree_sitter_python
from tree_sitter import Language, Parser

from curriculum.answer.python.statements import Statement

_PARSER = Parser(Language(tree_sitter_python.language()))
_PYTHON_2 = re.compile(
    r"^[ \t]*(?:print[ \t]+(?![-+*/%=.,)\[(&|^<>@:#]|(?:in|is|and|or|if|not)\b)[^\s]"
    r"|print[ \t]*>>|exec[ \t]+[\"'\w])"
    r"|^[ \t]*except[ \t]+[\w.]+[ \t]*,[ \t]*\w+[ \t]*:|^[ \t]*raise[ \t]+\w+[ \t]*,",
    re.MULTILINE,
)
_CONTINUED = re.compile(r"(?:\\(?:\r\n|\r|\n)[ \t]*){200}")
_BATCH = 4096
"""Characters that are parsed at once: what an error costs behind its place is bounded by it."""


def is_valid(text: str, statements: Sequence[Statement]) -> bool:
    """Whether top-level statements are Python, all of them closed.

    Of lines that only repeat one, the first is read.

    Args:
        text: holds the statements.
        statements: in order.
    """
    if not all(statement.closed for statement in statements):
        return False
    batch: list[str] = []
    length = 0
    for index, statement in enumerate(statements):
        code = text[statement.begin : statement.first_end or statement.end]
        batch.append(code)
        length += len(code)
        if length >= _BATCH or index == len(statements) - 1:
            if not is_python("".join(batch)):
                return False
            batch, length = [], 0
    return True


def is_python(code: str) -> bool:
    """Whether code parses; a header without a body does, too."""
    if "\0" in code or _PYTHON_2.search(code) or _CONTINUED.search(code):
        return False
    return not _PARSER.parse(code.encode(errors="surrogatepass")).root_node.has_error
