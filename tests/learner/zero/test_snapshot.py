"""A copy of a state: no later change reaches it, and it is written as the state would be."""

import io
from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from learner.zero.snapshot import on_host


def state() -> dict:
    flat = torch.arange(10.0)
    module = nn.Linear(3, 2)
    weights = module.state_dict()
    weights["tied"] = weights["weight"]
    named: Any = torch.zeros(2)
    named.ds_id = 5
    return {
        "weights": weights,
        "views": [flat[2:5], flat[4:8].view(2, 2), flat[::3]],
        "parameter": nn.Parameter(torch.ones(2)),
        "frozen": (nn.Parameter(torch.ones(2), requires_grad=False), torch.empty(0)),
        "groups": [{"lr": 0.1, "params": [0, 1]}],
        "empty": OrderedDict(),
        "dtype": torch.bfloat16,
        "named": named,
        "step": 7,
    }


def written(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def test_a_copy_is_written_as_the_state_is_and_keeps_what_the_state_was() -> None:
    torch.manual_seed(1)
    now = state()
    before, copied = written(now), on_host(now)
    now["weights"]["weight"].zero_()
    now["views"][0].fill_(-1)
    now["groups"][0]["lr"] = 0.0
    now["groups"][0]["params"].append(2)
    assert written(copied) == before != written(now)


def test_tensors_of_one_storage_share_one_in_the_copy() -> None:
    copied = on_host(state())
    weights: Any = copied["weights"]
    assert weights["tied"].data_ptr() == weights["weight"].data_ptr()
    copied["views"][0][2] = 50
    assert copied["views"][1][0, 0] == 50
    made: Any = nn.Linear(3, 2).state_dict()
    assert weights._metadata == made._metadata
    assert isinstance(copied["parameter"], nn.Parameter)
    assert not copied["frozen"][0].requires_grad
