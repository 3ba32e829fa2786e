"""The files of a model's folder: those that no reader opens before the actors load the model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from learner.errors import ModelError

WHOLE = ("model.safetensors", "pytorch_model.bin")
"""Names of a file with all weights, as transformers looks for them."""
_OTHER_TASKS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")


def check_weights(folder: Path) -> None:
    """Refuse a folder without weights, or whose files of weights are missing or cut off.

    Only the headers of the files are read.

    Raises:
        ModelError: names the file and the remedy.
    """
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"{folder}: it holds adapters (adapter_config.json), which learner and engines would "
            "read differently: merge them into their base model (`merge_and_unload` of peft) and "
            "give model.path the whole model"
        )
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder}: no config.json there; expected a Hugging Face model folder "
            f"(config.json, *.safetensors, tokenizer.json)"
        )
    indices = [*folder.glob("*.safetensors.index.json"), *folder.glob("*.bin.index.json")]
    for index in indices:
        parts = _parts(index)
        if missing := sorted(part for part in parts if not (folder / part).is_file()):
            raise ModelError(
                f"{folder}: {len(missing)} of {len(parts)} files of weights are missing, the first "
                f"{missing[0]}: copy the folder again"
            )
    if not indices and not any((folder / name).is_file() for name in WHOLE):
        raise ModelError(
            f"{folder}: it holds no weights: neither model.safetensors nor "
            f"model.safetensors.index.json with the files that it names{_linked(folder)}"
        )
    _check_headers(path for path in sorted(folder.glob("*.safetensors")) if path.is_file())


def check_description(folder: Path) -> None:
    """Refuse what learner and engines would read differently, or leave out without a word.

    Raises:
        ModelError: the weights are quantised, the model is no language model, or its generation
            configuration cannot be read.
    """
    described = _object(folder / "config.json")
    quantised = described.get("quantization_config") or described.get("compression_config")
    if quantised:
        method = quantised.get("quant_method", "") if isinstance(quantised, dict) else ""
        raise ModelError(
            f"{folder}: its weights are quantised ({method or 'quantization_config'}), and cannot "
            "be trained or broadcast; give the model in bfloat16 or float32"
        )
    for name in described.get("architectures") or ():
        if str(name).endswith(_OTHER_TASKS):
            raise ModelError(
                f"{folder}: config.json says that it is a {name}, which writes no text; choose a "
                "causal language model (...ForCausalLM)"
            )
    generation = folder / "generation_config.json"
    if not generation.is_file():
        return
    ends = _object(generation).get("eos_token_id")
    ids = ends if isinstance(ends, list) else [ends]
    if ends is not None and not all(type(end) is int and end >= 0 for end in ids):
        raise ModelError(
            f"{generation}: eos_token_id is {json.dumps(ends):.80}, not a token id or a list of "
            "them: responses would end elsewhere; copy the file again"
        )


def _parts(index: Path) -> set[str]:
    """The files that an index of weights names."""
    parts = _object(index).get("weight_map")
    if not isinstance(parts, dict) or not parts or {type(p) for p in parts.values()} != {str}:
        raise ModelError(f"{index}: it names no files of weights (weight_map): copy it again")
    return set(parts.values())


def _check_headers(files: Iterable[Path]) -> None:
    for path in files:
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            with path.open("rb") as file:
                pointer = file.read(40).startswith(b"version https://git-lfs")
            remedy = "fetch it with `git lfs pull`" if pointer else "copy or download it again"
            said = "it is a pointer of Git LFS, not the file" if pointer else f"cut off ({error})"
            raise ModelError(f"{path}: {said}; {remedy}") from error


def _linked(folder: Path) -> str:
    """A word on links that lead nowhere, as of a hub's cache that was copied without its blobs."""
    broken = sorted(p.name for p in folder.iterdir() if p.is_symlink() and not p.exists())
    return f"; {broken[0]} is a link to a file that is not there (`cp -L`)" if broken else ""


def _object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object."""
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not readable as JSON ({error}): copy it again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: it holds no JSON object: copy it again")
    return value
