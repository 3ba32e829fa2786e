"""Programs with the expected mask marked by hand.

How to read a case: `|` separates tokens, `‖` ends the given prefix (no tokens before it).
`⟦...⟧` is a statement that was executed, `⟨...⟩` one that was not; of a compound statement
the brackets hold its header. `~` in a token says that it must be masked; every other token must
be kept. `∅` is a token without bytes.
"""

from dataclasses import dataclass

CASES = {
    "straight line, all executed": "⟦x| =| 1⟧|\n|⟦y| =| 2⟧",
    "an unexecuted statement is masked": "⟦x| =| 1⟧|~\n|⟨~y|~ =|~ 2⟩",
    "a body that never ran, newline and indentation with it": (
        "⟦if| x|:⟧|~\n    |⟨~return|~ 1⟩|\n|⟦y| =| 2⟧"
    ),
    "newline and indentation in one token follow the code they lead to": (
        "⟦if| x:⟧|\n        |⟦y| = 2⟧|~\n    |⟨~z⟩"
    ),
    "newline and indentation in the same token as unexecuted code": "⟦if x:⟧|~\n    ⟨ret|~urn⟩",
    "newline and indentation in the same token as executed code": "⟨~pass⟩|\n⟦x| = 1⟧",
    "indentation apart from its newline": "⟦if x:⟧|~\n|~    |⟨~y⟩|\n|⟦z⟧",
    "a token over a header and its unexecuted body counts as executed": (
        "⟦if| x|:⟧\n    ⟨return|~ 1⟩"
    ),
    "a token over two unexecuted statements is masked": "⟦a⟧|~\n|⟨~b⟩; ⟨c|~ = 1⟩",
    "a token over an unexecuted and an executed statement is kept": "⟨~a|~ = |1⟩\n⟦b⟧",
    "a colon with the newline belongs to the header": "⟦if x|:⟧\n|~    |⟨~y⟩",
    "a trailing comment follows its statement": "⟦x = 1⟧|  # note|~\n|⟨~y = 2⟩",
    "a trailing comment of an unexecuted statement": "⟦x⟧|~\n|⟨~y = 2⟩|~  |~# note|\n|⟦z⟧",
    "a trailing comment after a header": "⟦if x:⟧|  # why|~\n    |⟨~y⟩",
    "a comment on its own line follows the statement after it": "⟦x⟧|~\n|~# about y|~\n|⟨~y⟩",
    "a comment on its own line before executed code": "⟨~x⟩|\n|# about y|\n|⟦y⟧",
    "two comment lines": "⟦x⟧|~\n# one|~\n# two|~\n|⟨~y⟩",
    "blank lines follow the statement after them": "⟦x⟧|~\n\n|~\n|⟨~y⟩|\n\n\n|⟦z⟧",
    "a comment at the end follows the last statement": "⟨~x⟩|~\n|~# bye|~\n",
    "a comment at the end after executed code": "⟦x⟧|\n|# bye|\n",
    "a comment with the next line's newline in one token is a comment": "⟦x⟧| # a\n|⟨~y⟩",
    "trailing spaces stay with their line": "⟦x⟧|  |~\n|⟨~y⟩",
    "else has an entry of its own": "⟦if a:⟧|\n |⟦b⟧|~\n|⟨~else|~:⟩|~\n |⟨~c⟩",
    "else without an entry goes by its suite": "⟦if a:⟧|\n |⟦b⟧|~\n|~else:|~\n |⟨~c⟩",
    "else without an entry before an executed suite": "⟦if a:⟧|~\n |⟨~b⟩|\n|else|:|\n |⟦c⟧",
    "a comment after else goes by its suite": "⟦if a:⟧|\n |⟦b⟧|~\n|~else:|~  # no|~\n |⟨~c⟩",
    "a suite on the header's line": "⟦if a:⟧|~ |⟨~b⟩|\n|⟦c⟧",
    "statements on one line, the separator goes to the next": "⟦a⟧|;| ⟦b⟧",
    "an unexecuted statement after a semicolon": "⟦a⟧|~;|~ ⟨b⟩",
    "a statement over several lines is one": "⟦x = (|\n    1|,\n|    2|\n)⟧|~\n|⟨~y⟩",
    "an unexecuted statement over several lines": "⟦a⟧|~\n|⟨~x = [|~\n    |~1,|~\n|~]⟩|\n|⟦b⟧",
    "blank line inside a string of a statement": '⟦s = """|\n|\n|a"""⟧|~\n|⟨~t⟩',
    "a decorator belongs to its function": "⟦@cache|\n|def f():⟧|~\n    |⟨~return 1⟩",
    "a function never called": "⟦def g():⟧|~\n    |⟨~return|~ 0⟩|\n|⟦f = 1⟧",
    "end of sequence is kept after unexecuted code": "⟦a⟧|~\n|⟨~b⟩|∅",
    "specials in the middle are kept": "⟦a⟧|∅|~\n|⟨~b⟩|∅",
    "tokens after the given prefix only": "⟦def f(a):⟧\n    ⟦if a⟧:‖|~\n        |⟨~return 1⟩",
    "the prefix ends inside a statement": "⟦x = ‖1⟧|~\n|⟨~y⟩",
    "the prefix ends inside an unexecuted statement": "⟦a⟧\n⟨x = ‖|~1|~ + 2⟩|\n|⟦y⟧",
    "break skips the rest of a loop": (
        "⟦for x in a:⟧|\n    |⟦if x:⟧|\n        |⟦break⟧|~\n    |⟨~t += x⟩|\n|⟦return t⟧"
    ),
    "a crash leaves the rest": "⟦a = 1⟧|\n|⟦b = 1 // 0⟧|~\n|⟨~c = 2⟩|~\n|⟨~return c⟩|∅",
    "except and finally": ("⟦try:⟧|\n |⟦a⟧|~\n|⟨~except E:⟩|~\n |⟨~b⟩|\n|⟦finally:⟧|\n |⟦c⟧"),
    "match cases": "⟦match x:⟧|~\n |⟨~case 1:⟩|~\n  |⟨~a⟩|\n |⟦case _:⟧|\n  |⟦b⟧",
    "multi-byte characters count by their bytes": "⟦s = 'é|漢'⟧|~\n|⟨~t|~ = '漢'⟩",
    "tabs and form feeds are whitespace": "⟦if a:⟧|~\n\t|⟨~b⟩|\n\f|⟦c⟧",
    "carriage returns are whitespace": "⟦a⟧|~\r\n|⟨~b⟩|\r\n|⟦c⟧",
    "empty completion": "⟦a⟧‖",
    "whitespace alone at the end follows the last statement": "⟦a⟧|~\n|⟨~b⟩|~\n|~\n    ",
}


@dataclass(frozen=True)
class Case:
    """A parsed case, as `execution_mask` takes it."""

    source: bytes
    completion_start: int
    statements: tuple[tuple[int, int, bool], ...]
    token_lengths: tuple[int, ...]
    expected: tuple[bool, ...]
    tokens: tuple[str, ...]


def parse(text: str) -> Case:
    """Read the notation of this module's docstring."""
    prefix, bar, completion = text.rpartition("‖")
    source, statements, opened = b"", [], (0, False)
    tokens: list[str] = []
    kept: list[bool] = []

    def read(part: str) -> int:
        nonlocal source, opened
        before = len(source)
        for character in part:
            if character in "⟦⟨":
                opened = (len(source), character == "⟦")
            elif character in "⟧⟩":
                statements.append((opened[0], len(source), opened[1]))
            elif character not in "~∅":
                source += character.encode()
        return len(source) - before

    start = read(prefix)
    lengths = []
    for part in completion.split("|") if completion else []:
        if part == "" and bar:
            continue
        lengths.append(read(part))
        tokens.append(part)
        kept.append("~" not in part)
    return Case(source, start, tuple(statements), tuple(lengths), tuple(kept), tuple(tokens))
