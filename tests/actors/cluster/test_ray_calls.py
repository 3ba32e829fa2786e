"""Messages about many calls name a few of them, and the setting of the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from actors.cluster.placement import node_lines
from actors.cluster.ray_calls import gather, some_of


async def wait_for(silent: Sequence[bool], key: str = "") -> None:
    loop = asyncio.get_running_loop()
    calls: list[Any] = [loop.create_future() for _ in silent]
    for call, is_silent in zip(calls, silent, strict=True):
        if not is_silent:
            call.set_result(0)
    await gather("rollout: start", calls, 0.01, key)


def told(silent: Sequence[bool], key: str = "") -> str:
    with pytest.raises(TimeoutError) as raised:
        asyncio.run(wait_for(silent, key))
    return str(raised.value)


def test_the_calls_that_got_no_answer_are_named_with_the_setting() -> None:
    assert told([False, True, False, True], "rollout.start_timeout_s") == (
        "rollout: start: 2 of 4 answered within 0.01 s (rollout.start_timeout_s); "
        "nothing from number 1, 3"
    )
    assert told([True]) == "rollout: start: no answer within 0.01 s"


def test_of_thousands_of_calls_the_first_are_named() -> None:
    message = told([True] * 4096)
    assert message.endswith("nothing from number 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 4,086 more")


def test_few_parts_are_all_named() -> None:
    assert some_of(["a"], "\n") == "a"
    assert some_of([str(i) for i in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert some_of([str(i) for i in range(11)], "\n").endswith("\n9\nand 1 more")


def test_nodes_that_have_the_same_are_told_in_one_line() -> None:
    def node(name: str, alive: bool = True, **resources: float) -> dict[str, Any]:
        return {"NodeManagerAddress": name, "Alive": alive, "Resources": resources}

    nodes = [
        node("head", CPU=8),
        *(node(f"gpu-{i}", CPU=96, GPU=8) for i in range(64)),
        node("gone", alive=False, CPU=96, GPU=8),
    ]
    assert node_lines(nodes) == [
        "node head has 8 CPU, 0 GPU, 0 sandbox",
        "node gpu-0 and 63 more have 96 CPU, 8 GPU, 0 sandbox each",
    ]
