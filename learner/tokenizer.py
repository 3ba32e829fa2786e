"""Tokenizers: training a small one, and the bytes of each token of any."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from learner.errors import ModelError

PAD, EOS = "<pad>", "<eos>"

_PIECES = r"\n *| ?[A-Za-z_]+| ?[0-9]| ?[^\sA-Za-z0-9]+| +"
"""A piece: a newline with its indentation, a word, a digit, or punctuation."""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE that never merges across pieces of code.

    A newline and the indentation after it are one piece, so a prefix of a program that ends before
    a newline has the same tokens as the same bytes in the whole program.

    Args:
        texts: from which merges are learned.
        vocab_size: upper limit of the vocabulary, at least 258.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
    )


def token_bytes(tokenizer: PreTrainedTokenizerBase) -> list[bytes]:
    """The bytes that each token adds to a text, by token id; special and unused ids add none.

    Supports byte-level BPE (GPT-2's alphabet) and sentencepiece with byte fallback (`▁`, `<0x0A>`).

    Raises:
        ModelError: the tokenizer has no fast backend, or another kind of decoder.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"{type(tokenizer).__name__} has no fast backend to read the decoder from; choose a "
            "model with a tokenizer.json"
        )
    to_bytes = _piece_decoder(json.loads(backend.to_str())["decoder"])
    # A sentencepiece decoder also decodes added tokens (Gemma's runs of spaces); GPT-2's does not.
    added_bytes = to_bytes if to_bytes is _sentencepiece_bytes else str.encode
    vocabulary = tokenizer.get_vocab()
    added = tokenizer.added_tokens_decoder
    special = set(tokenizer.all_special_ids)
    table = [b""] * (max(vocabulary.values()) + 1)
    for piece, token_id in vocabulary.items():
        if token_id in added:
            is_special = added[token_id].special or token_id in special
            table[token_id] = b"" if is_special else added_bytes(piece)
        elif token_id not in special:
            table[token_id] = to_bytes(piece)
    return table


def completion_text(token_ids: Iterable[int], table: Sequence[bytes]) -> str:
    """The text of generated tokens as a continuation: no space is stripped, and invalid UTF-8 is
    replaced by U+FFFD.

    Args:
        token_ids: generated ids; ids beyond the table (padding of the vocabulary) add no bytes.
        table: from `token_bytes`.
    """
    return b"".join(_pieces(token_ids, table)).decode("utf-8", errors="replace")


def text_lengths(token_ids: Iterable[int], table: Sequence[bytes]) -> list[int]:
    """UTF-8 bytes of each token in `completion_text`; their sum is the length of the encoded text.

    A token counts the bytes it adds, also if they are a part of a character. An invalid sequence
    becomes the 3 bytes of U+FFFD; its last token counts what its others do not.
    """
    pieces = _pieces(token_ids, table)
    raw = b"".join(pieces)
    offsets = _decoded_offsets(raw)
    lengths, start = [], 0
    for piece in pieces:
        end = start + len(piece)
        lengths.append(offsets[end] - offsets[start])
        start = end
    return lengths


def _pieces(token_ids: Iterable[int], table: Sequence[bytes]) -> list[bytes]:
    return [table[token_id] if token_id < len(table) else b"" for token_id in token_ids]


def _decoded_offsets(raw: bytes) -> list[int]:
    """For each offset in `raw`, the offset in the UTF-8 of its decoding with replacement."""
    offsets = list(range(len(raw) + 1))
    shift, at = 0, 0
    while at < len(raw):
        try:
            raw[at:].decode()
        except UnicodeDecodeError as error:
            bad_start, bad_end = at + error.start, at + error.end
        else:
            bad_start = bad_end = len(raw)
        for offset in range(at, bad_end):
            offsets[offset] += shift
        shift += len("\ufffd".encode()) - (bad_end - bad_start) if bad_end > bad_start else 0
        at = bad_end
    offsets[len(raw)] += shift
    return offsets


def _piece_decoder(decoder: dict[str, Any] | None) -> Any:
    parts = [] if decoder is None else decoder.get("decoders", [decoder])
    kinds = {part["type"] for part in parts}
    if "ByteLevel" in kinds:
        alphabet = _byte_level_alphabet()
        return lambda piece: bytes(alphabet[character] for character in piece)
    if "ByteFallback" in kinds or "Metaspace" in kinds:
        return _sentencepiece_bytes
    raise ModelError(
        f"the bytes of a token cannot be found: the decoder is {sorted(kinds) or None}; choose a "
        "model whose tokenizer decodes by ByteLevel or sentencepiece (ByteFallback, Metaspace)"
    )


def _sentencepiece_bytes(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\u2581", " ").encode()


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte, inverted."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    characters = {chr(byte): byte for byte in printable}
    characters.update({chr(256 + index): byte for index, byte in enumerate(hidden)})
    return characters
