"""Checks of `runs_dir` and `staging_dir`: files go where they are found again, secrets nowhere."""

from __future__ import annotations

import re
from pathlib import Path

_URL = re.compile(r"([A-Za-z][\w+.-]*)://(.*)", re.DOTALL)
_ALMOST = re.compile(r"[A-Za-z][\w+.-]+:[:/]")
"""Begins what is no URL and hardly a folder: `s3:/bucket`, `simplecache::s3://bucket`."""
_PASSWORD = re.compile(r"[^:/@]*:(?!\d+/)[^@]*@")
"""A user's name or key and its password before `@`, which may hold slashes; no port."""


def is_url(text: str) -> bool:
    """Whether a text is the URL of an object store rather than a folder."""
    return _URL.match(text) is not None


def is_meant_as_url(text: str) -> bool:
    """Whether a text that is no URL was hardly meant as a folder."""
    return not is_url(text) and _ALMOST.match(text) is not None


def check_folder_name(key: str, folder: Path) -> None:
    """Refuse a folder that was meant as a URL.

    Raises:
        ValueError: names the key.
    """
    if _ALMOST.match(str(folder)):
        only = "" if key == "runs_dir" else f"; {key} is a folder, and only runs_dir may be a URL"
        raise ValueError(
            f"{key} {folder}: neither a folder nor a URL, which begins as `s3://` does, without a "
            f"chain of several{only}"
        )


def check_url(url: str, key: str = "") -> None:
    """Refuse a URL that would tell a secret, or under which nothing would be found again.

    Args:
        url: of a run, or of the folder of runs.
        key: of the configuration that names it; empty for an argument.

    Raises:
        ValueError: says which, and not the secret.
    """
    match = _URL.match(url)
    assert match is not None
    kind, rest = match.groups()
    what = f"{key} {kind}://…".strip()
    if _PASSWORD.match(rest) or (kind not in ("file", "local") and re.search(r"[?#]", rest)):
        raise ValueError(
            f"{what}: holds a password, a key or a query, and it is written to logs, config.yaml "
            "and trackers: give credentials by the environment of the store's library "
            "(docs/runs.md#object-stores)"
        )
    what = f"{key} {url}".strip()
    if not rest.strip("/"):
        raise ValueError(f"{what}: names no bucket or folder")
    if kind == "memory":
        raise ValueError(f"{what}: the memory of a process, with which the files are lost")
    if kind in ("file", "local") and not rest.startswith("/"):
        raise ValueError(
            f"{what}: three slashes and the whole path, such as file:///mount/runs: a job "
            "of the cluster has a working directory of its own"
        )
