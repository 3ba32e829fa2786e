"""Sizes of the buffers in which GPUs hand weights over. Imports no torch."""

from __future__ import annotations

BUFFER_BYTES = 256 << 20
"""Weights that one collective or one hand-over carries [bytes]. vLLM's default is 1 GiB."""

NCCL_BUFFERS = 2
"""Buffers at each end of an NCCL broadcast: one travels while the next one is filled."""


def ipc_buffer_bytes(largest: int) -> int:
    """Size of the buffer that a learner shares with the engine on its GPU [bytes].

    vLLM hands over whole tensors, and refuses one that is larger than the buffer.

    Args:
        largest: bytes of the largest weight.
    """
    return max(BUFFER_BYTES, largest)


def nccl_buffer_bytes(largest: int) -> int:
    """Most bytes of the buffers at one end of an NCCL broadcast.

    vLLM fills a buffer until it exceeds `BUFFER_BYTES`, so that a tensor may come on top.

    Args:
        largest: bytes of the largest weight.
    """
    return NCCL_BUFFERS * (BUFFER_BYTES + largest)
