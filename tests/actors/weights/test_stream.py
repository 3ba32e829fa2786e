"""The wire format of the broadcast: both sides cut the same stream into the same buckets."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

# `TCPStore` is documented as part of torch.distributed, whose `__all__` lacks it.
from torch.distributed import ProcessGroup, TCPStore  # pyright: ignore[reportPrivateImportUsage]
from vllm.distributed.weight_transfer.base import ParamMeta

from actors.weights import receiver
from actors.weights.receiver import receive, views
from actors.weights.sender import flat_bucket
from actors.weights.wire import broadcast, bucket_bytes, buckets, join

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
        assert bucket_bytes(bucket) <= limit or len(bucket) == 1


@given(parameters, st.integers(1, 200), st.integers(0, 2**31))
def test_unpacking_returns_what_was_packed(meta: list[ParamMeta], limit: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        p.name: torch.randint(-100, 100, p.shape, generator=generator).to(p.dtype) for p in meta
    }
    stream = iter(tensors.items())
    received = {}
    for bucket in buckets(meta, limit):
        received |= dict(views(flat_bucket(bucket, stream), bucket))
    assert list(received) == list(tensors)
    assert all(torch.equal(received[name], tensor) for name, tensor in tensors.items())


def test_a_stream_that_differs_from_its_description_is_refused() -> None:
    meta = [ParamMeta("a", torch.float32, (2,))]
    with pytest.raises(RuntimeError, match="yielded 'b', expected 'a'"):
        flat_bucket(meta, iter([("b", torch.zeros(2))]))


@pytest.fixture
def groups() -> Iterator[list[ProcessGroup]]:
    """A learner's and an engine's end of one broadcast group, over this machine's own network."""
    master = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    guest = TCPStore("127.0.0.1", master.port, is_master=False)
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(join, store, i, 2, 30.0) for i, store in enumerate((master, guest))]
        yield [end.result(60) for end in ends]


@pytest.mark.parametrize("ahead", [1, 100, 1 << 20])
def test_an_update_is_received_whole_and_in_order(
    groups: list[ProcessGroup], monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    monkeypatch.setattr(receiver, "AHEAD_BYTES", ahead)
    shapes = [(3,), (5, 7), (400, 800), (1,), (2, 2), (600, 500)]
    tensors = {f"w{i}": torch.rand(shape) for i, shape in enumerate(shapes)}
    meta = [ParamMeta(name, t.dtype, tuple(t.shape)) for name, t in tensors.items()]
    learner, engine = groups

    def send() -> None:
        stream = iter(tensors.items())
        for bucket in buckets(meta):
            broadcast(learner, flat_bucket(bucket, stream)).wait(timedelta(seconds=30))

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        received = [(name, tensor.clone()) for name, tensor in receive(engine, meta, 30.0)]
        sent.result(30)
    assert [name for name, _ in received] == list(tensors)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in received)


def test_receiving_ends_at_its_deadline_when_nothing_is_sent(groups: list[ProcessGroup]) -> None:
    with pytest.raises(RuntimeError, match=r"(?i)timed? ?out"):
        list(receive(groups[1], [ParamMeta("w", torch.float32, (4,))], deadline_s=0.5))
