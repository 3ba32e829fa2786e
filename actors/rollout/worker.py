"""RolloutWorker: one vLLM engine in a Ray actor.

Lifecycle: `start()` loads the engine from a Hugging Face folder; `generate()` streams completions,
each as it ends; `stop()` shuts the engine down. A weight broadcast (`actors/weights/`) calls the
weight-update methods in order: they pause generation, replace the weights and resume. Completions
under way keep their tokens and continue with the new weights.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.models.fetch import model_folder
from actors.rollout.dtype import engine_dtype
from actors.rollout.engine_metrics import EngineMetrics
from actors.rollout.samples import Completion, Request
from actors.runs.logs import forward_logs
from learner.models.source import ModelSource

_CPU_BLOCK = 32
"""KV block [tokens]. The CPU default of 128 is longer than most prompts, and the prefix cache holds
whole blocks only: it would never be hit."""

_CPU_BATCHED_TOKENS = 4096
"""Upper bound of one forward pass [tokens]; whole prompts, as many as fit."""


class RolloutWorker:
    """One vLLM engine: prompts in as token ids, completions out as each one ends."""

    def __init__(self, config: RolloutConfig, name: str, run: str = "") -> None:
        forward_logs(name)
        self.config = config
        self.name = name
        self.run = run
        self.weight_version = 0
        self._request_ids = itertools.count()
        self._under_way: dict[str, set[asyncio.Task[Completion]]] = defaultdict(set)
        """Completions by the caller that asked for them."""
        self._gpu = False
        self._engine: Any = None
        self._exporting: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """What Ray's dashboard shows; it asks once, after `__init__`."""
        return f"{self.name}: vLLM engine of at most {self.config.max_num_seqs} sequences"

    async def start(
        self, model: ModelSource, weights_backend: str, gpu: bool, colocated: bool
    ) -> dict[str, str]:
        """Load the engine; returns the versions of vllm and torch in it, and its `dtype`.

        Args:
            model: what it starts from.
            weights_backend: transport of the weight broadcast: `gloo`, `nccl` or `ipc`.
            gpu: whether the engine runs on a GPU.
            colocated: whether it shares its GPU with the learner, and so must be able to sleep.

        Raises:
            RunFailed: vLLM could not load the model; the message names folder and cause. Or this
                environment's vLLM does not run on this kind of device.
        """
        import torch
        import vllm
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        from actors.weights.vllm_extension import OWNER

        self._check_platform(gpu)
        folder, tokenizer = await asyncio.to_thread(_files, model)
        self._gpu = gpu
        dtype = engine_dtype(self.config.dtype, folder, gpu)
        os.environ[OWNER] = str(os.getpid())  # the engine's processes inherit it
        try:
            self._engine = AsyncLLM.from_engine_args(
                AsyncEngineArgs(
                    model=str(folder),
                    tokenizer=tokenizer,
                    trust_remote_code=model.trust_remote_code,
                    dtype=dtype,
                    **engine_arguments(self.config, weights_backend, gpu, colocated),
                    disable_log_stats=not self.run,
                )
            )
        except Exception as error:
            raise RunFailed(
                f"{self.name}: vLLM could not load {model.path}: {type(error).__name__}: {error}"
            ) from error
        await self._engine.update_weight_version(str(self.weight_version))
        if self.run:
            self._exporting = asyncio.create_task(
                EngineMetrics(self.run, self.name).export_forever()
            )
        return {"vllm": vllm.__version__, "torch": torch.__version__, "dtype": dtype}

    def _check_platform(self, gpu: bool) -> None:
        from vllm.platforms import current_platform

        if gpu == current_platform.is_cpu():
            kind, extra = ("GPUs", "gpu") if gpu else ("CPUs", "cpu")
            raise RunFailed(
                f"{self.name}: this environment's vLLM does not run on {kind}: install the other "
                f"one (STEPCODER_EXTRA={extra} make install), or change placement.accelerator"
            )

    async def heartbeat(self) -> int:
        """The weight version, answered by the engine's own loop between two of its steps.

        Raises:
            RuntimeError: the engine is not loaded or has died.
        """
        if self._engine is None:
            raise RuntimeError(f"{self.name}: the engine is not loaded")
        return int(await self._engine.get_weight_version())

    def pids(self) -> list[int]:
        """Process ids of this actor and of its engine."""
        import psutil

        actor = psutil.Process()
        return [actor.pid, *(child.pid for child in actor.children(recursive=True))]

    async def generate(
        self, requests: Sequence[Request], version: int, caller: str
    ) -> AsyncIterator[tuple[Completion, ...]]:
        """Yield completions in the order in which they end.

        Completions that end in the same step of the engine are yielded together, because a message
        through Ray costs the same however many it carries.

        Args:
            requests: one for each completion.
            version: oldest weights that may generate them.
            caller: names the process that asks, for `abandon`.

        Raises:
            RuntimeError: this engine's weights are older than `version`; nothing is generated.
        """
        if self.weight_version < version:
            raise RuntimeError(
                f"{self.name}: its weights {self.weight_version} are older than {version}, which "
                f"the request asks for"
            )
        ended: asyncio.Queue[asyncio.Task[Completion]] = asyncio.Queue()
        tasks = [asyncio.create_task(self._complete(request)) for request in requests]
        under_way = self._under_way[caller]
        for task in tasks:
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            task.add_done_callback(ended.put_nowait)
        left = len(tasks)
        try:
            while left:
                together = [await ended.get()]
                while not ended.empty():
                    together.append(ended.get_nowait())
                left -= len(together)
                yield tuple(task.result() for task in together)
        finally:
            for task in tasks:
                task.cancel()

    async def abandon(self, caller: str) -> None:
        """End every completion of a caller that died: nobody waits for them."""
        for task in self._under_way.pop(caller, ()):
            task.cancel()

    async def _complete(self, request: Request) -> Completion:
        """One completion; an empty one where vLLM refuses the request, as for an empty prompt."""
        from vllm import SamplingParams
        from vllm.exceptions import VLLMClientError
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=request.temperature,
            top_p=request.top_p,
            max_tokens=request.max_tokens,
            seed=request.seed,
            logprobs=0,
            flat_logprobs=True,
            stop=list(self.config.stop),
            stop_token_ids=list(self.config.stop_token_ids),
            detokenize=bool(self.config.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        asked = time.monotonic()
        try:
            output = await self._final(request.prompt_ids, params)
        except VLLMClientError as error:
            # The engine is well. A stream that raised would cost it a restart, and the same request
            # would end the next one.
            return Completion(
                sample_id=request.sample_id,
                token_ids=(),
                logprobs=(),
                finish_reason="refused",
                weight_version=self.weight_version,
                refusal=str(error),
            )
        generated = output.outputs[0]
        return Completion(
            sample_id=request.sample_id,
            token_ids=tuple(generated.token_ids),
            logprobs=_chosen_logprobs(generated),
            finish_reason=generated.finish_reason,
            weight_version=min(int(span.version) for span in generated.weight_versions),
            seconds=time.monotonic() - asked,
        )

    async def prompt_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-probability of each token given those before it, from the second on [nats].

        The engine's half of the weight parity check; nothing is sampled.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=1.0,
            max_tokens=1,
            prompt_logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        outputs = await asyncio.gather(*(self._final(tuple(ids), params) for ids in sequences))
        return [
            [
                position[token].logprob
                for position, token in zip(output.prompt_logprobs[1:], ids[1:], strict=True)
            ]
            for output, ids in zip(outputs, sequences, strict=True)
        ]

    async def _final(self, prompt_ids: tuple[int, ...], params: Any) -> Any:
        from vllm.inputs import TokensPrompt

        prompt = TokensPrompt(prompt_token_ids=list(prompt_ids))
        request_id = f"{self.name}-{next(self._request_ids)}"
        final = None
        async for output in self._engine.generate(prompt, params, request_id=request_id):
            final = output
        if final is None:
            raise RuntimeError(f"{self.name}: the engine ended request {request_id} without output")
        return final

    async def sleep(self) -> None:
        """Free the GPU's memory until `wake_up`: weights move to the host, the KV cache is dropped.

        On a CPU the engine only stops scheduling.
        """
        await self._engine.sleep(level=1 if self._gpu else 0)

    async def wake_up(self) -> None:
        """Take the memory back, with the weights from before the sleep."""
        await self._engine.wake_up(None if self._gpu else ["scheduling"])

    # The weight-update methods; `WeightTransferClient` calls each of them on every worker.

    async def init_weight_transfer_engine(self, request: Any) -> None:
        """Join the broadcast group."""
        await self._engine.init_weight_transfer_engine(request)

    async def start_weight_update(self) -> None:
        """Freeze running requests, empty the prefix cache, begin the update."""
        # Not vLLM's `pause_generation`: it waits 20 ms for the last outputs of aborted requests,
        # and frozen requests are not aborted.
        await self._engine.engine_core.pause_scheduler_async(mode="keep", clear_cache=True)
        await self._engine.start_weight_update()

    async def update_weights(self, request: Any) -> None:
        """Receive the weights; runs while the learner broadcasts."""
        await self._engine.update_weights(request)

    async def finish_weight_update(self, version: int) -> None:
        """Make the weights current under this version number and resume."""
        await self._engine.finish_weight_update(weight_version=str(version))
        self.weight_version = version
        await self._engine.resume_generation()

    def stop(self) -> None:
        """Shut the engine down."""
        if self._exporting is not None:
            self._exporting.cancel()
        if self._engine is not None:
            self._engine.shutdown()
            self._engine = None


def _files(model: ModelSource) -> tuple[Path, str]:
    """The model's folder, and one with its tokenizer as the learner has it.

    vLLM would choose the tokenizer's class by its configuration, which changes some of them.

    Raises:
        RunFailed: this node cannot fetch the model, or its tokenizer is not supported.
    """
    from learner.errors import ModelError
    from learner.models.published import load_tokenizer

    folder = model_folder(model)
    tokenizer = tempfile.mkdtemp(prefix="stepcoder-tokenizer-")
    atexit.register(shutil.rmtree, tokenizer, ignore_errors=True)
    try:
        load_tokenizer(folder, model.trust_remote_code).save_pretrained(tokenizer)
    except ModelError as error:
        raise RunFailed(f"rollout: {error}") from error
    return folder, tokenizer


def engine_arguments(
    config: RolloutConfig, weights_backend: str, gpu: bool, colocated: bool
) -> dict[str, Any]:
    """Arguments of vLLM's `AsyncEngineArgs`, without model and precision."""
    from vllm.config import WeightTransferConfig

    from actors.weights.nccl import NCCL_BACKEND
    from actors.weights.vllm_extension import EXTENSION

    backend: Any = NCCL_BACKEND if weights_backend == "nccl" else weights_backend
    return {
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "tensor_parallel_size": config.tensor_parallel,
        # Processes of one engine within its place: by default vLLM would start Ray actors there,
        # which need a bundle for each GPU.
        "distributed_executor_backend": "mp" if config.tensor_parallel > 1 else "uni",
        "enable_prefix_caching": True,  # the samples of a prompt share it
        "logprobs_mode": "processed_logprobs",
        "weight_transfer_config": WeightTransferConfig(backend=backend),
        "worker_extension_cls": EXTENSION,
        **(_gpu_arguments(config, colocated) if gpu else _cpu_arguments(config)),
    }


def _gpu_arguments(config: RolloutConfig, colocated: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "enforce_eager": False,  # compilation and CUDA graphs
        "enable_chunked_prefill": True,
        "enable_sleep_mode": colocated,
    }
    if config.gpu_memory_utilization is not None:
        arguments["gpu_memory_utilization"] = config.gpu_memory_utilization
    return arguments


def _cpu_arguments(config: RolloutConfig) -> dict[str, Any]:
    return {
        "enforce_eager": True,
        "kv_cache_memory_bytes": config.kv_cache_mib << 20,
        "block_size": _CPU_BLOCK,
        # A seeded request whose prompt is prefilled in chunks kills the engine: vLLM rewinds the
        # request's random generator then, and generators on the CPU cannot be rewound.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(_CPU_BATCHED_TOKENS, config.max_model_len),
    }


def _chosen_logprobs(generated: Any) -> tuple[float, ...]:
    """The sampled tokens' log-probabilities out of vLLM's flat container.

    Asked for no further alternatives, vLLM lists one token per position: the sampled one.
    """
    flat = generated.logprobs
    if flat.token_ids != list(generated.token_ids):
        raise RuntimeError("vLLM's log-probabilities are not those of the sampled tokens")
    return tuple(flat.logprobs)
