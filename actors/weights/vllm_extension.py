"""What vLLM imports in each engine process (`worker_extension_cls`) before it loads the model.

Importing this module has three effects that every engine process needs:

- a CPU engine computes log-probabilities by logsumexp: torch's `log_softmax` of several rows is off
  by up to 1e-4 nats there for vocabularies of 50,000 tokens and more, as its sums are not cascaded;
- it registers the transports of the weight broadcast with vLLM's factory;
- it ends the process when its parent or its rollout actor ends, and the engine core between them.
  An engine whose actor was killed would otherwise hold the memory (or the GPU) that the restarted
  actor needs. With tensor parallelism vLLM imports this in each worker, and not in the engine core.
"""

from __future__ import annotations

import os
import select
import signal
from threading import Thread
from typing import Any

import torch
from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler
from vllm.v1.sample.sampler import Sampler

import actors.weights.nccl
import actors.weights.receiver  # noqa: F401  both register their transports

EXTENSION = f"{__name__}.RolloutExtension"

OWNER = "STEPCODER_ENGINE_OWNER"
"""Environment variable with the process id of the rollout actor that an engine belongs to."""


class RolloutExtension:
    """Mixed into vLLM's worker. It adds nothing: vLLM imports its module, which is what counts."""


def exact_logprobs(logits: torch.Tensor) -> torch.Tensor:
    """log_softmax in float32, in the order of operations that loses least."""
    logits = logits.float()
    return logits - logits.logsumexp(-1, keepdim=True)


_forward_cpu: Any = TopKTopPSampler.forward_cpu


def _forward_with_exact_logprobs(self: Any, *arguments: Any) -> Any:
    mode = self.logprobs_mode
    if mode != "processed_logprobs":
        return _forward_cpu(self, *arguments)
    self.logprobs_mode = "processed_logits"
    try:
        sampled, logits = _forward_cpu(self, *arguments)
    finally:
        self.logprobs_mode = mode
    return sampled, exact_logprobs(logits)


if not torch.cuda.is_available():
    sampler: Any = TopKTopPSampler
    sampler.forward_cpu = _forward_with_exact_logprobs
    Sampler.compute_logprobs = staticmethod(exact_logprobs)


def _exit_with(parent: int, owner: int) -> None:
    """Wait for either process to end, then end this one and the engine core at once."""
    poll = select.poll()
    for pid in {parent, owner}:
        try:
            poll.register(os.pidfd_open(pid), select.POLLIN)
        except ProcessLookupError:
            break
    else:
        poll.poll()
    if parent != owner and os.getppid() == parent:
        os.kill(parent, signal.SIGKILL)
    os._exit(1)  # not sys.exit: this is not the main thread, which may hang in a collective


def _watch() -> None:
    parent = os.getppid()
    owner = int(os.environ.get(OWNER, parent))
    if owner == os.getpid():  # the actor itself, in which the engine was started again
        owner = parent
    Thread(target=_exit_with, args=(parent, owner), daemon=True, name="exit-with").start()


_watch()
