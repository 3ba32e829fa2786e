"""The learner's end of a rendezvous with the engines, for every transport that has a group."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from datetime import timedelta
from typing import Any, TypeVar

from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from actors.weights.background import in_background

_Group = TypeVar("_Group")

_GRACE_S = 2.0
"""What the engines' own answer may come later than the deadline that they share [seconds]."""


def open_group(
    address: str,
    deadline_s: float,
    invite: Callable[[int], None],
    join: Callable[[TCPStore], _Group],
) -> tuple[TCPStore, _Group]:
    """Open a group with the engines; returns the store that it lives on, and the group.

    Args:
        address: of this node; the store listens there, on a port that is free.
        deadline_s: longest wait for the group to be complete [seconds].
        invite: tells the engines the store's port; returns when all of them have joined.
        join: joins the group at the store as the learner; returns when it is complete.

    Raises:
        TimeoutError: not every engine joined in time.
        BROADCAST_ERRORS: an engine failed, which ends the wait at once; or this end did.
    """
    store = TCPStore(
        address, 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=deadline_s)
    )
    ends_at = time.monotonic() + deadline_s
    joined = in_background(invite, store.port)
    group = in_background(join, store)
    both: list[Future[Any]] = [joined, group]
    wait(both, deadline_s, return_when=FIRST_EXCEPTION)
    late = time.monotonic() >= ends_at
    # The engines' answer first: one that failed is the reason why the group is incomplete.
    wait((joined,), _GRACE_S)
    if joined.done():
        joined.result()
        wait((group,), _GRACE_S)
    elif group.done() and not late:
        group.result()
    if not (joined.done() and group.done()):
        raise TimeoutError(
            f"weights: the engines did not join within {deadline_s:g} s (weights.timeout_s)"
        )
    return store, group.result()
