"""`runs_dir` is plainly a folder or a URL, and holds no secret."""

from __future__ import annotations

import pytest

from deploy.config import load_config
from deploy.errors import ConfigError


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/runs",
        "abfs://container@account.dfs.core.windows.net/runs",
        "sftp://user@host:22/home/a@b/runs",
        "sftp://host:22/home/a@b/runs",
        "file:///mount/my runs/ä?",
    ],
)
def test_urls_are_taken_as_they_are(url: str) -> None:
    assert load_config(None, ["--runs_dir", url]).runs_url == url


@pytest.mark.parametrize(
    "url",
    [
        "s3://KEY:SECRET@bucket/runs",
        "s3://KEY:SEC/RET@bucket/runs",
        "sftp://user:SECRET@host:22/runs",
        "https://account.blob.core.windows.net/runs?sig=SECRET",
    ],
)
def test_a_url_with_credentials_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="credentials by the environment") as caught:
        load_config(None, ["--runs_dir", url])
    assert "SEC" not in str(caught.value)
    assert "RET" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--runs_dir=s3:/bucket/runs", "runs_dir s3:/bucket/runs: neither a folder nor a URL"),
        ("--runs_dir=simplecache::s3://b/runs", "without a chain of several"),
        ("--staging_dir=s3://bucket/runs", "only runs_dir may be a URL"),
        ("--runs_dir=s3://", "names no bucket or folder"),
        ("--runs_dir=file:///", "names no bucket or folder"),
        ("--runs_dir=file://runs", "three slashes and the whole path"),
        ("--runs_dir=memory://runs", "with which the files are lost"),
    ],
)
def test_what_would_lie_where_nobody_looks_is_refused(arguments: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [arguments])
