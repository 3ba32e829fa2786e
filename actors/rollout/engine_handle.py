"""Member: what the driver knows of one rollout worker, and how requests are dealt to several."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actors.rollout.samples import Request


@dataclass
class Member:
    """One rollout worker as the driver sees it.

    An engine is identified by its worker's name and `incarnation`: what a dead engine was told or
    promised says nothing about the one that took its place.
    """

    name: str
    """`rollout-<i>`, its name in Ray too."""
    actor: Any
    """Ray's handle; stays valid when Ray starts the actor again."""
    incarnation: int = 0
    """How often the engine was started again."""
    loaded: bool = False
    """Whether the engine answers."""
    resting: bool = False
    """Whether it has given its memory to the learner."""
    updating: bool = False
    """Whether it takes part in a weight broadcast, and answers nothing else meanwhile."""
    version: int = 0
    """Weights it holds; a freshly loaded engine holds those of the disk, version 0."""
    sequences: int = 0
    """Completions it has under way."""
    tokens: int = 0
    """Tokens it may still have to read and write for them."""

    def take(self, requests: Sequence[Request]) -> None:
        """Count `requests` as its work."""
        self.sequences += len(requests)
        self.tokens += sum(cost(request) for request in requests)

    def drop(self, request: Request) -> None:
        """`request` is its work no longer."""
        self.sequences -= 1
        self.tokens -= cost(request)


@dataclass(frozen=True)
class Ended:
    """A worker's stream is over; what it left undone, and why."""

    unfinished: tuple[Request, ...] = ()
    cause: Exception | None = None


def cost(request: Request) -> int:
    """Tokens that a request may cost at most."""
    return len(request.prompt_ids) + request.max_tokens


def by_prompt(requests: Sequence[Request]) -> deque[list[Request]]:
    """Groups of requests with one prompt, the most expensive group first."""
    groups: dict[tuple[int, ...], list[Request]] = {}
    for request in requests:
        groups.setdefault(request.prompt_ids, []).append(request)
    return deque(sorted(groups.values(), key=lambda group: -len(group) * group[0].max_tokens))


def deal(
    groups: deque[list[Request]], members: Sequence[Member], window: int
) -> list[tuple[Member, list[Request]]]:
    """Give groups of requests with one prompt to the members with the fewest outstanding tokens.

    Takes from the front of `groups` and leaves there what has to wait: a member takes no further
    group while it has `window` completions under way, so that a fast one can take more than a slow
    one. A lone member gets everything at once, since its engine's own queue serves as well.

    Returns:
        Each member that got anything, with its requests; they are counted as its work.
    """
    shares: dict[str, tuple[Member, list[Request]]] = {}
    while groups:
        able = [m for m in members if m.sequences < window] if len(members) > 1 else members
        if not able:
            break
        lightest = min(able, key=lambda member: member.tokens)
        group = groups.popleft()
        lightest.take(group)
        shares.setdefault(lightest.name, (lightest, []))[1].extend(group)
    return list(shares.values())
