"""What processes with and without a GPU see."""

from __future__ import annotations

import pytest

from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.learners.worker import learner_env
from actors.rollout.engine_env import engine_env
from actors.weights.environment import check_allocator, nccl_env


@pytest.mark.parametrize("given", [{}, {"NCCL_CUMEM_ENABLE": "1", "NCCL_SOCKET_IFNAME": "eth0"}])
def test_both_ends_of_a_broadcast_have_the_drivers_nccl_variables(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    monkeypatch.delenv("NCCL_CUMEM_ENABLE", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    expected = {"NCCL_CUMEM_ENABLE": "0"} | given
    for env in (learner_env(4, True), engine_env(RolloutConfig(), True, False)):
        assert {name: env[name] for name in expected} == expected
    assert nccl_env({}) == {"NCCL_CUMEM_ENABLE": "0"}


def test_a_process_without_a_gpu_sees_none() -> None:
    for env in (learner_env(1, False), engine_env(RolloutConfig(), False, False)):
        assert env["CUDA_VISIBLE_DEVICES"] == ""
        assert "NCCL_CUMEM_ENABLE" not in env
    for env in (learner_env(3, True), engine_env(RolloutConfig(threads=3), True, True)):
        assert "CUDA_VISIBLE_DEVICES" not in env
        assert env["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize("name", ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"])
def test_expandable_segments_are_refused_where_gpu_memory_is_shared(name: str) -> None:
    check_allocator({name: "max_split_size_mb:64,expandable_segments:False"})
    with pytest.raises(RunFailed, match=rf"{name} turns expandable_segments on.*unset it"):
        check_allocator({name: "max_split_size_mb:64, expandable_segments: True"})
