"""The choice between containers and plain processes."""

import pytest

from sandbox import SandboxConfig, SetupError, choose_backend


def test_an_unreachable_engine_is_a_clear_error_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SetupError, match=r"no Docker engine answers.*make engine"):
        choose_backend(SandboxConfig(backend="docker", recycle_after=77))


def test_auto_falls_back_to_processes_with_a_warning(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    choice = choose_backend(SandboxConfig(backend="auto", recycle_after=78))
    assert choice.backend.name == "process"
    assert "no Docker engine answers" in choice.reason
    assert sum("WITHOUT ISOLATION" in message for message in caplog.messages) == 1
