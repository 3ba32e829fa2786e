"""Telling a line of prose, in any language, from a line of Python.

Prose is what cannot be Python and reads like text: a list item, a heading, a tag, characters that
no Python has outside strings, or words that follow each other without an operator. A line that is
only wrong Python (`prnt n`, `x = = 3`) is no prose: it is the policy's mistake.
"""

import re
from keyword import kwlist

MOST = 400
"""Characters of a line that are looked at: enough to tell."""

_MARKUP = re.compile(
    r"[-*+>•–—·▪‣◦] |\d+[.)](?:\s|$)|\(\w\) |\*\*|__\w+__\s|`|\||-{2,}\s*$|={3,}|\*{3,}|~{3,}|\$"
    r"|\\[\[(a-zA-Z]|<[|/!]|</?[a-zA-Z][\w:-]*[ />]|\[/?[A-Z]{3,}\]|[!?]\S*\s*$|>>> |In ?\[\d"
    r"|\w+://"  # a link
    r"|%%?[a-zA-Z]\w*(?:\s|$)"  # a magic command of a notebook
)
_FORMULA = re.compile(r"[A-Za-z]\w*\([\w ,+*-]*\) ?=[^=]")
"""`T(n) = 2T(n/2) + n`: Python assigns to no call."""
_WORD = r"[^\W\d_](?:[\w'’-]*\w)?"
_ASSIGNMENT = re.compile(
    r"[A-Za-z_][\w.]*(?:\[[^\]]*\])?(?:, ?[A-Za-z_]\w*)* ?(?::[^=(]{1,40})?[-+*/%&|^@<>]{0,2}=[^=]"
)
_CALL = re.compile(r"[A-Za-z_][\w.]*[(\[]")
_LITERAL = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'(?!\w)|#.*")
_NOT_PYTHON = re.compile(
    "[\u00a1-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7"
    "\u2010-\u203e\u2040-\u2053\u2055-\u206f\u20a0-\u20cf\u2190-\u2bff\u2e00-\u2e7f"
    "\u3000-\u3004\u3008-\u3020\u3030\uff01-\uff0f\uff1a-\uff1e\uff1f-\uff20\u0964\u061f\u060c"
    "\U0001f000-\U0001faff]"
    r"|[^\W\d_][!?] "  # the end of a sentence, and another one
)
_KEYWORDS = frozenset(kwlist)
_SOFT = frozenset(("match", "case", "type", "print", "exec"))
_PAIR = re.compile(rf"(?P<left>{_WORD}|\d[\w.]*|[)\]}}])[,;:]? +(?=(?P<right>{_WORD}|\d))")
_WORDS = re.compile(r"[A-Za-z][A-Za-z ,.:;'’-]*\Z")
_TURNS = frozenset(("assistant", "user", "model", "system", "human"))
"""Whose turn of a chat begins, on a line of its own."""
_LABEL = re.compile(rf"{_WORD}(?: {_WORD})*(?: \d+)?[.:!?…]*\s*$")
_LABELLED = re.compile(rf"{_WORD}(?:[ -]{_WORD})* ?(?:\d+ ?)?: ?(?!=)\S")
_TYPE = re.compile(
    r"\w+ ?: ?(?:int|str|float|bool|bytes|list|dict|set|tuple|object|complex|List|Dict|Set|Tuple"
    r"|Optional|Any|Callable|Iterable|Final|deque|defaultdict)\b"
)
_MANY = 4
"""Pairs of words that make a sentence of any line."""
_FIRST = re.compile(r"[A-Za-z]+\b")
_SENTENCE_END = re.compile(r"[.!?:…;,]\s*$")


def is_prose(line: str) -> bool:
    """Whether a line, without its indentation, is prose. Looks at `MOST` characters of it."""
    text = line[:MOST].strip()
    if not text or text[0] in "#@" or text.startswith(('"""', "'''")):
        return False
    if text[0] in "\"'":
        return _juxtaposed(_LITERAL.sub("''", text, count=1)) >= 2
    if _MARKUP.match(text) or _FORMULA.match(text):
        return True
    if text.isascii() and _ASSIGNMENT.match(text):
        return False
    bare = _LITERAL.sub("''", text)
    code = _CALL.match(bare) is not None or _ASSIGNMENT.match(bare) is not None
    if not code and _NOT_PYTHON.search(bare) and not _keyword_first(bare):
        return True
    runs = _juxtaposed(bare)
    if code:
        return runs >= 3 or (runs >= 1 and text[-1] in ".!?")
    if not bare.isascii():
        return runs >= 1 or not _code_like(bare)
    if _keyword_first(bare):
        few = bare.startswith(("import ", "from ")) or _WORDS.match(bare)
        return runs >= (2 if few else 4) or (
            runs >= 1 and _SENTENCE_END.search(text) is not None and text[-1] != ":"
        )
    if runs:
        return runs >= 2 or text[0].isupper() or _SENTENCE_END.search(text) is not None
    return text in _TURNS or _is_label(text)


def _juxtaposed(bare: str) -> int:
    """How often two words follow each other that nothing joins, up to `_MANY`."""
    count = 0
    for index, pair in enumerate(_PAIR.finditer(bare)):
        left, right = pair["left"], pair["right"]
        if pair[0].rstrip()[-1] in ",;:" and pair[0].rstrip() != left:
            continue
        if left in _KEYWORDS or right in _KEYWORDS:
            continue
        if index == 0 and pair.start() == 0 and left in _SOFT:
            continue
        count += 1
        if count == _MANY:
            break
    return count


def _keyword_first(bare: str) -> bool:
    found = _FIRST.match(bare)
    return found is not None and (found[0] in _KEYWORDS or found[0] in ("match", "case", "print"))


def _code_like(bare: str) -> bool:
    return re.search(r"[=()\[\]{}+*/%]|\w\.\w", bare) is not None


def _is_label(text: str) -> bool:
    """`Explanation`, `Done.`, `Time: O(n)`: what may parse, but says nothing to Python."""
    if not text[0].isupper():
        return _LABEL.match(text) is not None and text[-1] in ".!?…:" and text[:-1] not in _KEYWORDS
    if text[-1] == ":" and not _TYPE.match(text):
        return True
    if _LABEL.match(text):
        return text.rstrip(".:") not in _KEYWORDS
    hyphenated = re.match(rf"{_WORD}\s*$", text) is not None
    return hyphenated or (_LABELLED.match(text) is not None and not _TYPE.match(text))
