"""BenchWorker: a rollout worker whose engine can also be called without our code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from actors.rollout.samples import Request
from actors.rollout.worker import RolloutWorker


class BenchWorker(RolloutWorker):
    """A rollout worker that also measures vLLM itself, in the same process."""

    async def bare_rate(self, requests: Sequence[Request]) -> float:
        """Tokens per second of these requests, given to vLLM directly."""
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        engine = self._engine

        async def complete(request: Request) -> int:
            params = SamplingParams(
                temperature=request.temperature,
                max_tokens=request.max_tokens,
                seed=request.seed,
                logprobs=0,
                flat_logprobs=True,
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            prompt = TokensPrompt(prompt_token_ids=list(request.prompt_ids))
            tokens = 0
            name = f"bare-{time.monotonic_ns()}-{request.sample_id}"
            async for output in engine.generate(prompt, params, request_id=name):
                tokens = len(output.outputs[0].token_ids)
            return tokens

        started_at = time.monotonic()
        tokens = sum(await asyncio.gather(*map(complete, requests)))
        return tokens / (time.monotonic() - started_at)

    async def reload_from_disk(self) -> float:
        """Seconds of the engine's own `reload_weights`, paused and resumed as in a broadcast."""
        started_at = time.monotonic()
        await self._engine.pause_generation(mode="keep", clear_cache=True)
        await self._engine.collective_rpc("reload_weights")
        await self._engine.resume_generation()
        return time.monotonic() - started_at
