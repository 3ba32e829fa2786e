"""Training a tokenizer, and the bytes of the tokens of any."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from learner.errors import ModelError
from learner.tokenizer import completion_text, text_lengths, token_bytes, train_tokenizer

PROGRAM = "def f(a):\n    for x in a:\n        if x > 77:\n            t += x\n    return t"


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer([PROGRAM] * 5, 400)


@pytest.fixture(scope="module")
def sentencepiece() -> PreTrainedTokenizerFast:
    """Llama's kind: pieces with `▁`, bytes as `<0x..>`, a decoder that strips the first space."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "d", "e", "f", "▁def", "▁x", "x", "=", "1", "é"]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    merges = [("▁", "x")]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def test_added_tokens_of_sentencepiece_are_decoded_like_its_pieces(
    sentencepiece: PreTrainedTokenizerFast,
) -> None:
    added = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(
        sentencepiece.backend_tokenizer.to_str()))  # fmt: skip
    added.add_tokens(["▁▁▁▁", "\n\n"])
    table = token_bytes(added)
    for piece, expected in (("▁▁▁▁", "    "), ("\n\n", "\n\n")):
        token_id, x = (added.get_vocab()[token] for token in (piece, "x"))
        assert added.decode([x, token_id, x], clean_up_tokenization_spaces=False) == f"x{expected}x"
        assert table[token_id].decode() == expected


def test_newline_and_indentation_are_one_token(tokenizer: PreTrainedTokenizerFast) -> None:
    table = token_bytes(tokenizer)
    pieces = [table[i] for i in tokenizer.encode(PROGRAM)]
    assert pieces[:8] == [b"def", b" f", b"(", b"a", b"):", b"\n    ", b"for", b" x"]
    assert b"\n            " in pieces


def test_digits_are_single_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    table = token_bytes(tokenizer)
    assert [table[i] for i in tokenizer.encode("x > 770")] == [b"x", b" >", b" 7", b"7", b"0"]


def test_a_prefix_that_stops_before_a_newline_is_tokenised_as_inside_the_program(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    whole = tokenizer.encode(PROGRAM)
    cuts = [at for at, character in enumerate(PROGRAM) if character == "\n"]
    assert len(cuts) == 4
    for cut in cuts:
        assert tokenizer.encode(PROGRAM[:cut]) + tokenizer.encode(PROGRAM[cut:]) == whole


def test_a_saved_tokenizer_is_the_same(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.encode(PROGRAM) == tokenizer.encode(PROGRAM)
    assert (loaded.eos_token_id, loaded.pad_token_id) == (1, 0)
    assert token_bytes(loaded) == token_bytes(tokenizer)


@given(text=st.text())
def test_any_text_survives_byte_level_tokens(text: str, tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer.encode(text)
    assert completion_text(ids, token_bytes(tokenizer)) == text.encode().decode()


def test_special_tokens_have_no_bytes(tokenizer: PreTrainedTokenizerFast) -> None:
    table = token_bytes(tokenizer)
    assert (table[0], table[1]) == (b"", b"")
    ids = [*tokenizer.encode("x = 1"), 1]
    assert completion_text(ids, table) == "x = 1"
    assert text_lengths(ids, table)[-1] == 0


def test_ids_of_a_padded_vocabulary_have_no_bytes(tokenizer: PreTrainedTokenizerFast) -> None:
    assert text_lengths([10**6], token_bytes(tokenizer)) == [0]


def test_an_added_token_that_is_not_special_is_text(tokenizer: PreTrainedTokenizerFast) -> None:
    extended = train_tokenizer([PROGRAM], 400)
    extended.add_tokens(["é→"])
    assert token_bytes(extended)[extended.get_vocab()["é→"]] == "é→".encode()


def test_sentencepiece_bytes(sentencepiece: PreTrainedTokenizerFast) -> None:
    table = token_bytes(sentencepiece)
    vocabulary = sentencepiece.get_vocab()
    assert table[vocabulary["▁def"]] == b" def"
    assert table[vocabulary["<0x0A>"]] == b"\n"
    assert table[vocabulary["é"]] == "é".encode()
    assert table[vocabulary["</s>"]] == b""


def test_a_continuation_keeps_the_space_that_decode_strips(
    sentencepiece: PreTrainedTokenizerFast,
) -> None:
    ids = [sentencepiece.get_vocab()[piece] for piece in ("▁x", "=", "1")]
    assert sentencepiece.decode(ids) == "x=1"
    assert completion_text(ids, token_bytes(sentencepiece)) == " x=1"


def test_a_character_split_over_byte_tokens_is_decoded(
    sentencepiece: PreTrainedTokenizerFast,
) -> None:
    ids = [sentencepiece.get_vocab()[f"<0x{byte:02X}>"] for byte in "漢".encode()]
    table = token_bytes(sentencepiece)
    assert completion_text(ids, table) == "漢"
    assert text_lengths(ids, table) == [1, 1, 1]


@given(pieces=st.lists(st.binary(max_size=5), max_size=6))
def test_lengths_sum_to_the_decoded_text(pieces: list[bytes]) -> None:
    ids = range(len(pieces))
    lengths = text_lengths(ids, pieces)
    assert min(lengths, default=0) >= 0
    assert sum(lengths) == len(completion_text(ids, pieces).encode())
    assert [length == 0 for length in lengths] == [piece == b"" for piece in pieces]


@given(characters=st.lists(st.characters(exclude_categories=["Cs"]), max_size=6))
def test_lengths_of_valid_text_are_the_lengths_of_the_pieces(characters: list[str]) -> None:
    raw = "".join(characters).encode()
    pieces = [raw[at : at + 2] for at in range(0, len(raw), 2)]
    assert text_lengths(range(len(pieces)), pieces) == list(map(len, pieces))


def test_bytes_after_an_invalid_byte_keep_their_offsets() -> None:
    pieces = [b"a", b"\xff", b"b\n", b"\xe6\xbc", b"c"]
    assert completion_text(range(5), pieces) == "a\ufffdb\n\ufffdc"
    assert text_lengths(range(5), pieces) == [1, 3, 2, 3, 1]


def test_an_unknown_decoder_is_refused() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.decoder = decoders.WordPiece()
    with pytest.raises(ModelError, match=r"the decoder is .'WordPiece'."):
        token_bytes(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
