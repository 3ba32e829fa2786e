"""Where a model comes from: folders, and names on the hub, by the hub's own client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from learner.errors import ModelError
from learner.models.source import ModelSource
from tests.learner.models.hub import COMMIT, Hub, serve

FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{ }",
    "tokenizer_config.json": b"{  }",
    "generation_config.json": b"{   }",
    "model.safetensors": b"w" * 5000,
    "pytorch_model.bin": b"w" * 5000,
    "original/consolidated.00.pth": b"w",
    "consolidated.safetensors": b"w",
    "README.md": b"",
}

SCRIPT = """
import json, logging, sys
from learner.models import source
from learner.models.source import ModelSource
from learner.errors import ModelError
logging.basicConfig(level=logging.INFO, format="%(message)s")
source._LOG_EVERY_S = 0.0
answers = []
for method, path in json.loads(sys.argv[1]):
    try:
        answer = getattr(ModelSource(path), method)()
        answers.append(answer.path if isinstance(answer, ModelSource) else answer and str(answer))
    except ModelError as error:
        answers.append(f"refused: {error}")
print(json.dumps(answers))
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as hub:
        hub.add("owner/model", dict(FILES))
        yield hub


def ask(url: str, home: Path, *questions: tuple[str, str], log: str = "") -> list[Any]:
    """The answers of `ModelSource(path).method()` in a process of its own, with this hub.

    `log` must stand in what it logs.
    """
    environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(questions)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert log in ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_a_name_on_the_hub_is_fetched_once_and_then_found_without_a_network(
    hub: Hub, tmp_path: Path
) -> None:
    before, pinned, folder, again, cached = ask(
        hub.url, tmp_path,
        ("cached", "owner/model"), ("pinned", "owner/model"), ("fetch", "owner/model"),
        ("fetch", "owner/model@main"), ("cached", f"owner/model@{COMMIT}"),
        log=f"fetching owner/model: {len(FILES['model.safetensors']) / 1e9:.1f} of 0.0 GB",
    )  # fmt: skip
    assert before is None
    assert pinned == f"owner/model@{COMMIT}"
    assert folder == again == cached
    expected = {name for name in FILES if name.endswith(".json")} | {"model.safetensors"}
    assert {path.name for path in Path(folder).iterdir()} == expected
    assert sorted(hub.downloads) == sorted(expected), "each file was sent once"
    offline = ask(
        "http://127.0.0.1:9", tmp_path,
        ("cached", "owner/model"), ("fetch", "owner/model"), ("pinned", "owner/model"),
    )  # fmt: skip
    assert offline == [folder, folder, pinned]


def test_the_driver_fetches_only_what_describes_the_model(hub: Hub, tmp_path: Path) -> None:
    folder, cached = ask(
        hub.url, tmp_path, ("description", "owner/model"), ("cached", "owner/model")
    )
    assert "model.safetensors" not in hub.downloads
    assert (Path(folder) / "tokenizer.json").exists()
    assert cached is None, "its weights are not here"


def test_a_model_without_safetensors_is_fetched_as_it_is(hub: Hub, tmp_path: Path) -> None:
    hub.add("owner/old", {"config.json": b"{}", "pytorch_model.bin": b"w"}, "b" * 40)
    (folder,) = ask(hub.url, tmp_path, ("fetch", "owner/old"))
    assert (Path(folder) / "pytorch_model.bin").exists()


def test_what_cannot_be_had_is_refused_with_the_remedy(hub: Hub, tmp_path: Path) -> None:
    hub.add("meta/gated", dict(FILES))
    hub.gated.add("meta/gated")
    answers = ask(
        hub.url, tmp_path,
        ("fetch", "owner/nothing"), ("fetch", "owner/model@v9"), ("fetch", "meta/gated"),
    )  # fmt: skip
    for answer, message in zip(
        answers,
        (
            "refused: model owner/nothing: no such folder here and no such model on the hub",
            "refused: model owner/model@v9: owner/model has no revision 'v9'",
            "refused: model meta/gated: access is not granted: accept its terms at https://",
        ),
        strict=True,
    ):
        assert answer.startswith(message)
    (answer,) = ask("http://127.0.0.1:9", tmp_path, ("fetch", "owner/model@main"))
    assert "the hub cannot be reached: run `hf download owner/model --revision main" in answer


def test_an_expired_token_is_told_with_the_remedy(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.expired = "hf_expired"
    monkeypatch.setenv("HF_TOKEN", hub.expired)
    (answer,) = ask(hub.url, tmp_path, ("fetch", "owner/model"))
    assert "the hub refuses this machine's token" in answer
    assert "`hf auth login` again" in answer


def test_a_folder_is_itself(tmp_path: Path) -> None:
    source = ModelSource(str(tmp_path))
    assert source.hub_name is None
    assert source.fetch() == source.cached() == tmp_path
    assert source.pinned() == source
    with pytest.raises(ModelError, match=r"no such folder, and no name on the hub"):
        ModelSource(str(tmp_path / "absent")).fetch()


def test_a_folder_of_this_machine_goes_before_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert ModelSource("owner/model").pinned().path == str(tmp_path / "owner" / "model")
    assert ModelSource("owner/other").hub_name == ("owner/other", None)
    assert ModelSource("owner/other@v1.0").hub_name == ("owner/other", "v1.0")
