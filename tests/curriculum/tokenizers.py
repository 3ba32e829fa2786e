"""Small tokenizers of the kinds that models have, trained here: no hub is needed."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from learner.tokenizer import train_tokenizer

CHAT_ML = (
    "{% for turn in messages %}<|im_start|>{{ turn['role'] }}\n{{ turn['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_TURNS = ["<|im_start|>", "<|im_end|>"]
_RECENT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How recent byte-level tokenizers split: punctuation takes the newline behind it along."""


def own(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """The bundled model's: a newline begins a piece."""
    return train_tokenizer(texts, 512)


def byte_level(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE in which `):` and the newline behind it become one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_RECENT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=["<|end|>", *_TURNS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _fast(tokenizer)


def sentencepiece(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """BPE without pieces, a space before the text, newlines as bytes: as Llama's first."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>", "<|end|>", *_TURNS], show_progress=False
    )
    lines = (line for text in texts for line in text.splitlines())
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    parts = json.loads(tokenizer.to_str())
    vocabulary = parts["model"]["vocab"]
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    parts["model"]["byte_fallback"] = True
    return _fast(Tokenizer.from_str(json.dumps(parts)))


def _fast(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        additional_special_tokens=_TURNS,
        chat_template=CHAT_ML,
        clean_up_tokenization_spaces=False,
    )


KINDS: dict[str, Callable[[Iterable[str]], Any]] = {
    "own": own,
    "byte-level": byte_level,
    "sentencepiece": sentencepiece,
}
