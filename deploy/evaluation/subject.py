"""Subject: what is evaluated: a model folder, the policy of a run, or the canonical solutions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from deploy.config.places import is_url
from deploy.errors import ConfigError
from deploy.evaluation.folder import is_evaluation
from deploy.stored.fetch import local_folder
from deploy.stored.fetch import model as stored_model
from deploy.stored.listing import runs_in
from learner.errors import ModelError
from learner.models.source import ModelSource

CANONICAL = "canonical"


@dataclass(frozen=True)
class Subject:
    """What is evaluated."""

    name: str
    """For tables and folder names."""
    folder: Path | None = None
    """Hugging Face folder of the model; None for the canonical solutions."""
    run_config: Path | None = None
    """Configuration of the run whose policy it is."""

    def digest(self) -> str | None:
        """A digest of the model's configuration, tokenizer and weights; None without a model."""
        if self.folder is None:
            return None
        digest = hashlib.sha256()
        for path in sorted(self.folder.iterdir()):
            if path.suffix in (".safetensors", ".json", ".jinja", ".bin", ".model"):
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                digest.update(f"{path.name} {content}\n".encode())
        return digest.hexdigest()

    def context_len(self) -> int:
        """Longest prompt and completion that the model was made for [tokens]."""
        assert self.folder is not None
        config = json.loads((self.folder / "config.json").read_text())
        config = config.get("text_config", config)
        return int(config.get("max_position_embeddings") or config.get("n_positions") or 1 << 30)


def subject_of(model: str) -> Subject:
    """What `--model` names.

    Raises:
        ConfigError: nothing that can be evaluated.
    """
    if model == CANONICAL:
        return Subject(CANONICAL)
    url = is_url(model)
    folder = local_folder(model, stored_model)
    if is_evaluation(folder):
        raise ConfigError(f"--model {model}: the folder of an evaluation, not of a run or a model")
    if (folder / "config.yaml").is_file():
        policy = folder / "policy"
        if not (policy / "config.json").is_file():
            raise ConfigError(
                f"--model {model}: this run has no policy yet ({policy}): a run writes it at its "
                f"end; finish it with `stepcoder train --resume`"
            )
        return Subject(folder.absolute().name, policy.absolute(), folder / "config.yaml")
    source = ModelSource(str(folder) if url else model)
    if source.hub_name is not None:
        try:
            return Subject(source.hub_name[0].rpartition("/")[2], source.fetch())
        except ModelError as error:
            raise ConfigError(f"--model: {error}") from error
    for needed in ("config.json", "tokenizer.json"):
        if not (folder / needed).is_file():
            raise ConfigError(
                f"--model {model}: no {needed} there; expected a Hugging Face model folder, the "
                f"folder of a finished run, or `{CANONICAL}`{runs_in(folder)}"
            )
    return Subject(folder.absolute().name, folder.absolute())
