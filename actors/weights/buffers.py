"""Sizes of the buffers in which weights are handed over. Imports no torch."""

from __future__ import annotations

BUFFER_BYTES = 256 << 20
"""Weights that one collective or one hand-over carries [bytes]. vLLM's default is 1 GiB."""

NCCL_BUFFERS = 2
"""Buffers at each end of an NCCL broadcast: one travels while the next one is filled."""

AHEAD_BYTES = 64 << 20
"""What an engine without a GPU receives ahead of what it loads [bytes], and at least one bucket."""


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


def gloo_buffer_bytes(largest: int) -> int:
    """Most bytes of the buffers of an engine without a GPU: the bucket that it loads, and those
    that arrive.

    Args:
        largest: bytes of the largest weight, which is a bucket of its own.
    """
    return AHEAD_BYTES + 2 * largest
