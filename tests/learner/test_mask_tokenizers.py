"""The mask over real token ids of three kinds of tokenizer: program, tests, expected tokens.

How to read a case: `|` separates tokens as the tokenizer cut them (which the test checks), `~` says
that a token must be masked, `∅` is a token without bytes. The program is run on its input as the
sandbox would: the executed statements come from `sys.settrace` over its own source, so nothing
here but the marks says what ran.
"""

import ast
import sys
from collections.abc import Callable

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from learner.mask import execution_mask
from learner.tokenizer import completion_text, text_lengths, token_bytes

WORDS = r"\n *| ?[A-Za-z_]+| ?[0-9]| ?[^\sA-Za-z0-9]| +"
PIECES = ["break", "def", "if", "else", "return", "while", "for", "in", "pass", "not", "and"]


def sentencepiece(bytes_only: bool) -> PreTrainedTokenizerFast:
    """Llama's kind: `▁` for a space, `<0x..>` for what the vocabulary lacks.

    With `bytes_only` no letter is in it: every character is one byte token or more.
    """
    vocabulary = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    merges = []
    if not bytes_only:
        vocabulary += [chr(code) for code in range(33, 127)]
        for word in (*PIECES, "xs"):
            for end in range(2, len(word) + 1):
                merges.append((word[: end - 1], word[end - 1]))
                vocabulary.append(word[:end])
        merges += [("▁", "▁"), ("▁▁", "▁▁")]
        vocabulary += ["▁▁", "▁▁▁▁"]
    ids = {piece: number for number, piece in enumerate(dict.fromkeys(vocabulary))}
    model = models.BPE(ids, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


def byte_level() -> PreTrainedTokenizerFast:
    """GPT-2's kind: bytes in disguise, cut into words with their leading space, newlines with
    their indentation.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges, pieces = [], ["</s>", *alphabet]
    spaced = (f"Ġ{piece}" for piece in (*PIECES, *"xy=>015"))
    for word in (*spaced, *PIECES, "ĊĠĠĠĠ", "ĊĠĠĠĠĠĠĠĠ"):
        for end in range(2, len(word) + 1):
            merges.append((word[: end - 1], word[end - 1]))
            pieces.append(word[:end])
    ids = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.BPE(ids, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(
                Regex(r"\n *| ?[A-Za-z_]+| ?[0-9]| ?[^\sA-Za-z0-9]| +"), "isolated"
            ),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "byte level": byte_level,
    "sentencepiece": lambda: sentencepiece(bytes_only=False),
    "sentencepiece of bytes": lambda: sentencepiece(bytes_only=True),
}

CASES: dict[str, tuple[str, object, str]] = {
    "byte level: a branch not taken": (
        "byte level",
        1,
        "def| f|(|x|)|:|\n    |if| x| >| 5|:|~\n        |~return| ~0|\n    |return| x|∅",
    ),
    "byte level: the same branch taken hides the rest": (
        "byte level",
        9,
        "def| f|(|x|)|:|\n    |if| x| >| 5|:|\n        |return| 0|~\n    |~return| ~x|∅",
    ),
    "byte level: code after a break": (
        "byte level",
        [1],
        "def| f|(|x|)|:|\n    |for| y| in| x|:|\n        |break|~\n        |~pass|\n    "
        "|return| 1|∅",
    ),
    "byte level: an empty loop": (
        "byte level",
        [],
        "def| f|(|x|)|:|\n    |for| y| in| x|:|~\n        |~pass|\n    |return| 1|∅",
    ),
    "byte level: a crash leaves the rest": (
        "byte level",
        0,
        "def| f|(|x|)|:|\n    |y| =| 1|/|x|~\n    |~return| ~y|∅",
    ),
    "sentencepiece: newline and spaces are tokens of their own": (
        "sentencepiece",
        1,
        "def| |f|(|x|)|:|\n|    |if| |x|>|5|:|~\n|~    |~    |~return|~ |~0|\n|    |return| |x|∅",
    ),
    "sentencepiece: else without a statement of its own": (
        "sentencepiece",
        1,
        "def| |f|(|x|)|:|\n|    |if| |x|:|\n|    |    |return| |1|~\n|~    |~else|~:|"
        "~\n|~    |~    |~return|~ |~2|∅",
    ),
    "sentencepiece: a comment follows the code after it": (
        "sentencepiece",
        0,
        "def| |f|(|x|)|:|\n|    |while| |x|:|~\n|~    |~    |~#|~ |~no|~\n|~    |~    |"
        "~pass|\n|    |return| |x|∅",
    ),
    "sentencepiece: a word outside the vocabulary comes in bytes": (
        "sentencepiece",
        1,
        "def| |f|(|x|)|:|\n|    |if| |not| |x|:|~\n|~    |~    |~return|~ |~'|~\\xc3|"
        "~\\xa9|~'|\n|    |return| |x|∅",
    ),
    "bytes: every character is masked for itself": (
        "sentencepiece of bytes",
        1,
        "d|e|f| |f|(|x|)|:|\n| |i|f| |0|:|~\n|~ |~ |~x|~=|~1|\n| |x|=|'|\\xe6|\\xbc|\\xa2|'|∅",
    ),
}


def executed_statements(source: str, argument: object) -> list[tuple[int, int, bool]]:
    """(start, end, executed) of every statement's own text, of a compound one its header."""
    ran: set[int] = set()

    def trace(frame, event, _):
        if frame.f_code.co_filename == "<case>":
            ran.add(frame.f_lineno)
            return trace
        return None

    namespace: dict = {}
    sys.settrace(trace)
    try:
        exec(compile(source, "<case>", "exec"), namespace)
        namespace["f"](argument)
    except ZeroDivisionError:
        pass
    finally:
        sys.settrace(None)
    lines = source.encode().split(b"\n")
    starts = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    actual = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            if body:
                header = lines[node.lineno - 1]
                end = starts[node.lineno - 1] + len(header.rstrip())
            else:
                assert node.end_lineno is not None
                assert node.end_col_offset is not None
                end = starts[node.end_lineno - 1] + node.end_col_offset
            start = starts[node.lineno - 1] + node.col_offset
            actual.append((start, end, node.lineno in ran))
    return sorted(actual)


def marked(text: str) -> tuple[list[bytes], list[bool]]:
    """Bytes of each token and whether it must be kept."""
    tokens, kept = [], []
    for part in text.split("|"):
        plain = part.replace("~", "").replace("∅", "")
        raw = plain.encode().decode("unicode_escape") if "\\x" in plain else plain
        tokens.append(raw.encode("latin-1") if "\\x" in plain else raw.encode())
        kept.append("~" not in part)
    return tokens, kept


@pytest.mark.parametrize("name", CASES)
def test_the_mask_of_real_token_ids_is_as_marked(name: str) -> None:
    kind, argument, text = CASES[name]
    tokenizer = TOKENIZERS[kind]()
    table = token_bytes(tokenizer)
    tokens, kept = marked(text)
    source = b"".join(tokens).decode()
    assert tokenizer.eos_token_id is not None
    ids = [*tokenizer.encode(source, add_special_tokens=False), tokenizer.eos_token_id]
    assert [table[i] for i in ids] == tokens, "the marks are on the tokenizer's own tokens"
    assert completion_text(ids, table) == source
    statements = executed_statements(source, argument)
    assert not all(executed for _, _, executed in statements) or "~" not in text
    mask = execution_mask(text_lengths(ids, table), 0, statements, source.encode())
    assert list(zip(tokens, mask, strict=True)) == list(zip(tokens, kept, strict=True))
