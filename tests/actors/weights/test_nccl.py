"""The NCCL transport's deadlines and buffers: vLLM's own packers and classes on CPU tensors, with a
communicator that travels through the rendezvous' store in place of NCCL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]
from vllm.config import WeightTransferConfig
from vllm.distributed.weight_transfer import packed_tensor
from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource
from vllm.distributed.weight_transfer.factory import (
    WeightTransferEngineFactory,
    WeightTransferTrainerFactory,
)

from actors.weights import nccl
from actors.weights.nccl import NCCL_BACKEND, NCCLReceiver, NCCLSender, NCCLSenderInit, join
from actors.weights.sender import BROADCAST_ERRORS

DEADLINE_S = 60.0
SHORT_S = 1.0
WEIGHTS = {f"w{i}": torch.rand(shape) for i, shape in enumerate([(3,), (40, 50), (1,), (20, 9)])}


class StoreCommunicator:
    """Broadcasts through the group's store; `stuck` never ends until it is destroyed."""

    disabled = False
    stuck = False
    made: list[StoreCommunicator]

    def __init__(self, group: Any, device: int) -> None:
        self.group, self.count, self.sizes = group, 0, []
        self.over = Event()
        self.made.append(self)

    def broadcast(self, tensor: torch.Tensor, src: int, stream: Any = None) -> None:
        if self.stuck:
            assert self.over.wait(30)
            return
        self.count += 1
        self.sizes.append(tensor.numel())
        key = f"broadcast/{self.count}"
        if self.group.rank == src:
            self.group.store.set(key, tensor.numpy().tobytes())
        else:
            data = bytearray(self.group.store.get(key))
            tensor.copy_(torch.frombuffer(data, dtype=torch.uint8))

    def destroy(self) -> None:
        self.over.set()


class Weights(WeightSource):
    def metadata(self) -> list[ParamMeta]:
        return [ParamMeta(name, w.dtype, tuple(w.shape)) for name, w in WEIGHTS.items()]

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        return iter(WEIGHTS.items())


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: dict[str, torch.Tensor] = {}

    def load_weights(self, weights: Any) -> None:
        self.loaded |= {name: tensor.clone() for name, tensor in weights}


class Client:
    """One engine in this process."""

    def __init__(self, receiver: NCCLReceiver) -> None:
        self.receiver = receiver
        self.failure: Exception | None = None
        self.calls: list[str] = []

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        parsed: Any = self.receiver.parse_init_info(init_info)
        self.receiver.init_transfer_engine(parsed)

    def start_weight_update(self) -> None:
        self.calls.append("start")

    def update_weights(self, update_info: dict[str, Any]) -> None:
        if self.failure:
            raise self.failure
        self.receiver.receive_weights(self.receiver.parse_update_info(update_info))

    def finish_weight_update(self) -> None:
        self.calls.append("finish")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(StoreCommunicator, "made", [], raising=False)
    monkeypatch.setattr(StoreCommunicator, "stuck", False)
    monkeypatch.setattr(nccl, "PyNcclCommunicator", StoreCommunicator)
    monkeypatch.setattr(nccl, "_ABORT_S", 5.0)
    streams = (SimpleNamespace(synchronize=lambda: None),) * 2
    monkeypatch.setattr(packed_tensor, "_get_streams", lambda *_: streams)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 0)
    parallel = SimpleNamespace(data_parallel_index=0, world_size=1, rank=0)
    vllm_config: Any = SimpleNamespace(parallel_config=parallel, model_config=None)
    config = WeightTransferConfig(backend=NCCL_BACKEND)
    receiver = WeightTransferEngineFactory.create_engine(
        config, vllm_config, torch.device("cpu"), Model()
    )
    assert isinstance(receiver, NCCLReceiver)
    return Client(receiver)


def open_sender(client: Client, deadline_s: float = DEADLINE_S) -> NCCLSender:
    info = NCCLSenderInit("127.0.0.1", 2, deadline_s, rank=0)
    sender = WeightTransferTrainerFactory.trainer_init(info, client=client, source=Weights())  # type: ignore[arg-type]
    assert isinstance(sender, NCCLSender)
    return sender


def test_weights_arrive_whole_in_bounded_buffers(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nccl, "BUFFER_BYTES", 4000)
    sender = open_sender(client)
    assert client.receiver.packed_buffer_size_bytes == 4000
    for _ in range(2):
        sender.send_weights()
    model: Any = client.receiver.model
    assert list(model.loaded) == list(WEIGHTS)
    assert all(torch.equal(model.loaded[name], w) for name, w in WEIGHTS.items())
    assert client.calls == ["start", "finish"] * 2
    largest = max(w.numel() * 4 for w in WEIGHTS.values())
    for communicator in StoreCommunicator.made:
        assert len(communicator.sizes) == 4
        assert max(communicator.sizes) <= 4000 + largest


def test_a_new_group_is_opened_after_the_old_one_is_destroyed(client: Client) -> None:
    open_sender(client)
    _, engine_end = sorted(StoreCommunicator.made, key=lambda made: made.group.rank)
    assert not engine_end.over.is_set()
    open_sender(client)
    assert engine_end.over.is_set()


def test_a_broadcast_that_hangs_ends_at_the_deadline_on_both_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = open_sender(client)
    sender.send_weights()  # what vLLM imports meanwhile is not timed
    sender.deadline_s = client.receiver.deadline_s = SHORT_S
    monkeypatch.setattr(StoreCommunicator, "stuck", True)
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"within 1 s \(weights.timeout_s\)"):
        sender.send_weights()
    assert time.monotonic() - started < 20
    assert all(made.over.wait(5) for made in StoreCommunicator.made)
    assert client.calls == ["start", "finish", "start"]


def test_the_death_of_an_engine_ends_a_broadcast_before_the_deadline(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = open_sender(client)
    client.failure = ConnectionError("the actor died")
    monkeypatch.setattr(StoreCommunicator, "stuck", True)
    started = time.monotonic()
    with pytest.raises(ConnectionError, match="the actor died"):
        sender.send_weights()
    assert time.monotonic() - started < 10
    assert issubclass(ConnectionError, BROADCAST_ERRORS)
    monkeypatch.setattr(StoreCommunicator, "stuck", False)
    client.failure = None
    open_sender(client).send_weights()  # the learner goes on with the engines that are left


def test_an_engine_that_never_joins_ends_the_rendezvous_at_the_deadline(client: Client) -> None:
    def never(_: Any) -> None:
        time.sleep(10 * SHORT_S)

    client.init_weight_transfer_engine = never  # type: ignore[method-assign]
    with pytest.raises(TimeoutError, match="engines did not join within 1 s"):
        open_sender(client, SHORT_S)


def test_a_rendezvous_that_fails_on_the_learners_end_says_why_without_waiting_for_the_engines(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no NCCL on this end")

    monkeypatch.setattr(nccl, "PyNcclCommunicator", fail)
    client.init_weight_transfer_engine = lambda _: time.sleep(20)  # type: ignore[method-assign]
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="no NCCL on this end"):
        open_sender(client)
    assert time.monotonic() - started < 15


def test_a_learner_that_is_not_there_ends_an_engines_rendezvous_at_the_deadline(
    client: Client,
) -> None:
    init = nccl.NCCLInit(
        master_address="127.0.0.1", master_port=1, rank_offset=1, world_size=2, deadline_s=1.0
    )
    started = time.monotonic()
    with pytest.raises(BROADCAST_ERRORS):
        client.receiver.init_transfer_engine(init)
    assert time.monotonic() - started < 20


def test_a_missing_nccl_is_said_instead_of_sending_nothing() -> None:
    """vLLM's communicator does nothing, without an error, where the library cannot be loaded."""
    if torch.cuda.is_available():
        pytest.skip("NCCL is here")
    master = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with pytest.raises(RuntimeError, match="NCCL: its library cannot be loaded"):
        join(master, 0, 2, 10.0)
