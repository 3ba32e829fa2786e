"""Published tokenizers: loaded as their own files say, or refused by name.

transformers chooses a class for a tokenizer by its configuration, and some classes replace parts of
`tokenizer.json`: a DeepSeek tokenizer becomes a `LlamaTokenizer` that loses every space. So the
file is loaded itself, and code must survive a round trip.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import processors
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils.logging import get_verbosity, set_verbosity, set_verbosity_error

from learner.errors import ModelError
from learner.tokenizer import completion_text, token_bytes

CODE = (
    "def f(x, y=0):\n    if x  >= 10:\n\treturn {'a': [x-1, \"é 漢\"]}  # don't , stop !\n\n\n"
    "class A:\n        pass\nprint(f( 2 ), 3.14e-5, 1000000)\n"
)
"""Text that must survive encoding and decoding to the last space."""


def load_tokenizer(folder: Path, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer in a model folder, with its special tokens and chat template.

    It is what `tokenizer.json` says, whatever class `tokenizer_config.json` names, and begins a
    text with the BOS token where `tokenizer_config.json` says so. Without a `tokenizer.json` it is
    converted from its other files.

    Raises:
        ModelError: there is none, it has no fast form, it changes code, or no response can end.
    """
    file = folder / "tokenizer.json"
    verbosity = get_verbosity()
    set_verbosity_error()  # it warns that the class is another than the one that is named
    try:
        if file.is_file():
            tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(folder)
        else:
            tokenizer = _convert(folder, trust_remote_code)
    except ModelError:
        raise
    except Exception as error:  # the tokenizers package raises bare exceptions
        raise ModelError(
            f"{folder}: its tokenizer cannot be read: {type(error).__name__}: {error}"
        ) from error
    finally:
        set_verbosity(verbosity)
    _check_round_trip(folder, tokenizer)
    _add_bos(folder, tokenizer)
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"{folder}: the tokenizer names no eos_token, so no response can end; "
            "set it in tokenizer_config.json"
        )
    return tokenizer


def leading_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The ids that the tokenizer puts in front of a text, such as BOS; often none."""
    tokenizing: Any = tokenizer
    bare = tokenizing.encode("a", add_special_tokens=False)
    whole = tokenizing.encode("a")
    starts = (at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
    return tuple(whole[: next(starts, 0)])


def _convert(folder: Path, trust_remote_code: bool) -> Any:
    """A fast tokenizer from the files of a slow one (sentencepiece, tiktoken, vocabulary)."""
    command = (
        f"AutoTokenizer.from_pretrained({str(folder)!r}, use_fast=True)"
        f".save_pretrained({str(folder)!r})"
    )
    remedy = (
        "convert it where its own package is installed: "
        f'python -c "from transformers import AutoTokenizer; {command}"'
    )
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # of code that comes with the model, too
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"{folder}: it has no tokenizer.json, and its tokenizer was not converted "
            f"({reason}); {remedy}"
        ) from error
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ModelError(
            f"{folder}: its tokenizer {type(tokenizer).__name__} is a slow one, without the "
            f"tokenizer.json that tells the bytes of each token; {remedy}"
        )
    return tokenizer


def _check_round_trip(folder: Path, tokenizer: Any) -> None:
    ids = tokenizer.encode(CODE, add_special_tokens=False)
    text = completion_text(ids, token_bytes(tokenizer))
    if text in (CODE, f" {CODE}"):  # sentencepiece puts a space in front of the first word
        return
    at = next(i for i, (a, b) in enumerate(zip(text + "\0", CODE + "\1", strict=False)) if a != b)
    raise ModelError(
        f"{folder}: its tokenizer changes code: {CODE[at : at + 24]!r} comes back as "
        f"{text[at : at + 24]!r}; choose a model whose tokenizer keeps every character"
    )


def _add_bos(folder: Path, tokenizer: Any) -> None:
    """Put BOS in front of every text where the configuration says so and the file does not."""
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text()) if file.is_file() else {}
    bos = tokenizer.bos_token
    if settings.get("add_bos_token") is not True or bos is None or leading_ids(tokenizer):
        return
    backend = tokenizer.backend_tokenizer
    begins = processors.TemplateProcessing(
        single=f"{bos} $A",
        pair=f"{bos} $A {bos}:1 $B:1",
        special_tokens=[(bos, tokenizer.bos_token_id)],
    )
    former = backend.post_processor
    backend.post_processor = begins if former is None else processors.Sequence([former, begins])
