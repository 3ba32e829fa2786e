"""Parcels: large jobs and verdicts in pieces that Ray sends within calls.

Ray keeps an argument or a result of more than 100 KiB in the object store of its node, and the node
that needs it opens a connection there, or is sent it by one. An execution node may reach the head
alone: what a program takes and gives must not need a connection from there.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from typing import Any

PIECE = 64 << 10
"""Bytes of a piece: below Ray's `max_direct_call_object_size`."""
PIECES = 64
"""Pieces of a call: 4 MiB, below Ray's `task_rpc_inlined_bytes_limit` of 10."""


def pack(value: Any) -> list[bytes]:
    """The pickled value in pieces; none where it is small enough to be sent as it is."""
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    if len(data) <= PIECE:
        return []
    return [data[start : start + PIECE] for start in range(0, len(data), PIECE)]


def unpack(pieces: Iterable[bytes]) -> Any:
    """The value that was packed."""
    return pickle.loads(b"".join(pieces))


def in_calls(pieces: Sequence[bytes]) -> list[Sequence[bytes]]:
    """The pieces of each call."""
    return [pieces[start : start + PIECES] for start in range(0, len(pieces), PIECES)]
