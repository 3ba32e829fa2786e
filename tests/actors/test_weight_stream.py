"""The wire format of the broadcast: both sides cut the same stream into the same buckets."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from vllm.distributed.weight_transfer.base import ParamMeta

from actors.rollout_broadcast import _pack
from actors.rollout_weights import buckets, byte_size, views

DTYPES = [torch.float32, torch.bfloat16, torch.int8]
parameters = st.lists(
    st.builds(
        ParamMeta,
        st.uuids().map(str),
        st.sampled_from(DTYPES),
        st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=12,
)


@given(parameters, st.integers(1, 200))
def test_buckets_keep_order_and_stay_within_the_limit(meta: list[ParamMeta], limit: int) -> None:
    cut = list(buckets(meta, limit))
    assert [p for bucket in cut for p in bucket] == meta
    for bucket in cut:
        size = sum(byte_size(p.dtype, p.shape) for p in bucket)
        assert size <= limit or len(bucket) == 1


@given(parameters, st.integers(1, 200), st.integers(0, 2**31))
def test_what_is_packed_is_what_is_unpacked(meta: list[ParamMeta], limit: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        p.name: torch.randint(-100, 100, p.shape, generator=generator).to(p.dtype) for p in meta
    }
    stream = iter(tensors.items())
    received = {}
    for bucket in buckets(meta, limit):
        received |= dict(views(_pack(bucket, stream), bucket))
    assert list(received) == list(tensors)
    assert all(torch.equal(received[name], tensor) for name, tensor in tensors.items())


def test_a_stream_that_differs_from_its_description_is_refused() -> None:
    meta = [ParamMeta("a", torch.float32, (2,))]
    with pytest.raises(RuntimeError, match="yielded 'b' where 'a' was due"):
        _pack(meta, iter([("b", torch.zeros(2))]))
