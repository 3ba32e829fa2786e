"""Where a model comes from: a folder, or a name on the Hugging Face hub. Imports no torch."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm.auto import tqdm

from learner.errors import ModelError

logger = logging.getLogger(__name__)

_HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")

_DESCRIPTION = ["*.json", "*.jinja", "*.model", "*.tiktoken", "merges.txt", "vocab.txt", "*.py"]
"""What tells a model's architecture and holds its tokenizer."""
_WEIGHTS = ["*.safetensors"]
_OLD_WEIGHTS = ["*.bin"]
"""Fetched only where a model has no safetensors."""
_OTHER_FORMATS = ["original/*", "onnx/*", "openvino/*", "consolidated*", "*.gguf"]

_UNAUTHORIZED = 401
"""HTTP status of a token that is not valid."""
_LOG_EVERY_S = 10.0
"""Shortest time between two lines about a download [seconds]."""


@dataclass(frozen=True)
class ModelSource:
    """A model folder, or `owner/name` on the hub with an optional `@revision`."""

    path: str
    """A folder of this machine, or the name on the hub."""
    trust_remote_code: bool = False
    """Whether Python files that come with the model may run."""

    @property
    def hub_name(self) -> tuple[str, str | None] | None:
        """Repository and revision on the hub; None for a folder."""
        match = None if Path(self.path).is_dir() else _HUB_NAME.fullmatch(self.path)
        return (match[1], match[2]) if match else None

    def pinned(self) -> "ModelSource":
        """The same source with its revision as a commit, and a folder as an absolute path.

        What is trained from must not change between two nodes, or when a run is resumed. Only the
        small files are fetched: configuration and tokenizer.

        Raises:
            ModelError: there is no such folder, and it cannot be had from the hub.
        """
        if self.hub_name is None:
            return replace(self, path=str(self.fetch().absolute()))
        repository, revision = self.hub_name
        if revision and _COMMIT.fullmatch(revision):
            return self
        return replace(self, path=f"{repository}@{_snapshot(self.path, _DESCRIPTION).name}")

    def description(self) -> Path:
        """A folder with the configuration and the tokenizer; of a model on the hub nothing else is
        fetched.

        Raises:
            ModelError: there is no such folder, and it cannot be had from the hub.
        """
        return self.fetch() if self.hub_name is None else _snapshot(self.path, _DESCRIPTION)

    def fetch(self) -> Path:
        """The whole model's folder on this node; a model on the hub is downloaded once into the
        hub's usual cache (`HF_HOME`), with progress in the log.

        Raises:
            ModelError: there is no such folder, and it cannot be had from the hub.
        """
        if self.hub_name is not None:
            folder = _snapshot(self.path, _DESCRIPTION + _WEIGHTS)
            if any(folder.glob("*.safetensors")):
                return folder
            return _snapshot(self.path, _DESCRIPTION + _WEIGHTS + _OLD_WEIGHTS)
        folder = Path(self.path)
        if not folder.is_dir():
            raise ModelError(
                f"model {self.path}: no such folder, and no name on the hub (owner/name or "
                "owner/name@revision)"
            )
        return folder

    def cached(self) -> Path | None:
        """The whole model's folder if it is on this node already; never asks the hub."""
        if self.hub_name is None:
            return Path(self.path)
        repository, revision = self.hub_name
        wanted = _DESCRIPTION + _WEIGHTS
        try:
            folder = Path(_download(repository, revision, wanted, local_files_only=True))
            if not any(folder.glob("*.safetensors")):
                folder = Path(
                    _download(repository, revision, wanted + _OLD_WEIGHTS, local_files_only=True)
                )
        except (LocalEntryNotFoundError, OSError):
            return None
        whole = any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))
        return folder if whole else None


def _download(repository: str, revision: str | None, files: list[str], **options: Any) -> str:
    return snapshot_download(
        repository,
        revision=revision,
        allow_patterns=files,
        ignore_patterns=_OTHER_FORMATS,
        **options,
    )


def _snapshot(path: str, files: list[str]) -> Path:
    """The snapshot's folder in the hub's cache, with these files."""
    repository, _, revision = path.partition("@")
    try:
        return Path(_download(repository, revision or None, files, tqdm_class=_logging_bar(path)))
    except HFValidationError as error:
        raise ModelError(
            f"model {path}: no such folder here, and no name that the hub allows: {error}"
        ) from error
    except GatedRepoError as error:
        raise ModelError(
            f"model {path}: access is not granted: accept its terms at "
            f"https://huggingface.co/{repository}, then `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"model {path}: no such folder here and no such model on the hub: check the name; for "
            "a private model `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"model {path}: {repository} has no revision {revision!r}") from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"model {path}: no such folder here, not in the hub's cache, and the hub cannot be "
            f"reached: run `hf download {repository}"
            f"{f' --revision {revision}' if revision else ''} --local-dir FOLDER` where there is a "
            "network and give model.path that folder"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code == _UNAUTHORIZED:
            raise ModelError(
                f"model {path}: the hub refuses this machine's token, which may have expired: "
                "`hf auth login` again, or set HF_TOKEN; without a token only public models can "
                "be had (`hf auth logout`)"
            ) from error
        raise ModelError(
            f"model {path}: the download failed and continues where it stopped when it is started "
            f"again: {type(error).__name__}: {error}"
        ) from error


def _logging_bar(path: str) -> type[tqdm]:
    """The class of a progress bar of the hub's client that writes to the log."""

    class LoggingBar(tqdm):
        def __init__(self, *args: Any, **settings: Any) -> None:
            self.logged_s = time.monotonic()
            super().__init__(*args, **settings | {"file": _NOWHERE, "leave": False})

        def display(self, *_: Any, **__: Any) -> bool:
            now = time.monotonic()
            if self.unit == "B" and self.total and now - self.logged_s >= _LOG_EVERY_S:
                self.logged_s = now
                logger.info(
                    "fetching %s: %.1f of %.1f GB",
                    path,
                    self.n / 1e9,
                    self.total / 1e9,
                    extra={"progress": ("fetch", self.n, self.total)},
                )
            return True

    return LoggingBar


class _Nowhere:
    """A file that drops what is written."""

    write: Callable[..., int] = staticmethod(lambda *_: 0)
    flush: Callable[..., None] = staticmethod(lambda *_: None)


_NOWHERE = _Nowhere()
