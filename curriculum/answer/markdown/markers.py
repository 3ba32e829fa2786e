"""End markers: special tokens that a model wrote as text, behind which nothing is its answer."""

import re

MARKER = re.compile(
    r"<(?:[|｜][^\s|｜<>\"']{1,40}[|｜]>|/?s>|(?:eos|bos|pad|end_of_turn|start_of_turn|end_of_text)>"
    r"|</?SYS>>|/(?:answer|solution|final_answer)>|end_of_utterance>|EOT>|/CODE>)"
    r"|\[(?:/?INST\]|(?<![^\r\n]\[)(?:DONE|/PYTHON|/CODE|/ANSWER)\])"
)
_LEADING = re.compile(
    rf"(?:\s*(?:\ufeff|{MARKER.pattern})(?:assistant\b[ \t]*(?=[\r\n]|<[|｜]))?)+", re.IGNORECASE
)
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_LOOKED_AT = 300
"""Characters before and behind a place on its line that tell whether it stands in a string."""


def leading_markers(text: str, begin: int) -> int:
    """The end of the markers that the text begins with; `begin` where it begins with none.

    A byte-order mark is one of them.
    """
    found = _LEADING.match(text, begin)
    return found.end() if found else begin


def first_marker(text: str, begin: int, end: int) -> int:
    """The first end marker that is neither quoted nor in a string; `end` if there is none."""
    for found in MARKER.finditer(text, begin, end):
        if not is_quoted(text, found.start(), found.end()):
            return found.start()
    return end


def is_quoted(text: str, begin: int, end: int) -> bool:
    """Whether `text[begin:end]` stands in a string or in inline code on its line."""
    left = max(text.rfind("\n", begin - _LOOKED_AT if begin > _LOOKED_AT else 0, begin) + 1, 0)
    left = max(left, begin - _LOOKED_AT)
    right = text.find("\n", end, end + _LOOKED_AT)
    before = text[left:begin]
    behind = text[end : right if right >= 0 else end + _LOOKED_AT]
    if before.count("`") % 2 and "`" in behind and "```" not in before:
        return True
    rest = _STRING.sub("", before)
    return any(quote in rest and quote in behind for quote in "\"'")
