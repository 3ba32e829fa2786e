"""What vLLM is asked for, by its own configuration classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from vllm.engine.arg_utils import AsyncEngineArgs

from actors.config import RolloutConfig
from actors.rollout.worker import engine_arguments
from actors.weights.nccl import NCCL_BACKEND


def configured(model: Path, config: RolloutConfig, backend: str, gpu: bool, colocated: bool) -> Any:
    arguments = engine_arguments(config, backend, gpu, colocated)
    return AsyncEngineArgs(model=str(model), dtype="float32", **arguments)


def test_a_tensor_parallel_engine_runs_as_processes_in_its_place(tiny_model: Path) -> None:
    args = configured(tiny_model, RolloutConfig(tensor_parallel=2), "nccl", True, False)
    assert args.distributed_executor_backend == "mp"
    assert args.tensor_parallel_size == 2
    assert configured(tiny_model, RolloutConfig(), "nccl", True, False) \
        .distributed_executor_backend == "uni"  # fmt: skip


@pytest.mark.parametrize("colocated", [True, False])
def test_an_engine_on_a_gpu_compiles_chunks_and_caches(tiny_model: Path, colocated: bool) -> None:
    backend = "ipc" if colocated else "nccl"
    args = configured(tiny_model, RolloutConfig(), backend, True, colocated)
    assert not args.enforce_eager
    assert args.enable_chunked_prefill
    assert args.enable_prefix_caching
    assert args.enable_sleep_mode == colocated
    assert args.weight_transfer_config.backend == ("ipc" if colocated else NCCL_BACKEND)
    assert args.gpu_memory_utilization == AsyncEngineArgs.gpu_memory_utilization
    half = RolloutConfig(gpu_memory_utilization=0.5)
    assert configured(tiny_model, half, backend, True, colocated).gpu_memory_utilization == 0.5


def test_an_engine_on_a_cpu_is_accepted_by_vllm_as_it_is_asked_for(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # as in every rollout actor
    config = configured(tiny_model, RolloutConfig(), "gloo", False, False).create_engine_config()
    assert config.parallel_config.distributed_executor_backend == "uni"
    assert config.cache_config.enable_prefix_caching
    assert not config.scheduler_config.enable_chunked_prefill
    assert config.model_config.enforce_eager
