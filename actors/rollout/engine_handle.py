"""EngineHandle: what the driver knows of one rollout worker and its vLLM engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from actors.rollout.samples import Request


@dataclass(eq=False)
class EngineHandle:
    """One rollout worker as the driver sees it.

    An engine is identified by its worker's name and its `incarnation`. Every message that concerns
    an engine carries both, because a late answer of an engine that died must not be taken for one
    of the engine that replaced it.
    """

    name: str
    """`rollout-<i>`, the actor's name in Ray too."""
    actor: Any
    """Ray's handle; it stays valid when Ray restarts the actor."""
    incarnation: int = 0
    """How often the engine was restarted."""
    loaded: bool = False
    """Whether the engine has loaded a model and answers calls."""
    asleep: bool = False
    """Whether the engine has given its GPU memory to the learner."""
    updating: bool = False
    """Whether the engine takes part in a weight broadcast; it answers nothing else meanwhile."""
    version: int = 0
    """Version of the weights the engine holds; 0 are those of the model folder."""
    sequences: int = 0
    """Completions under way."""
    tokens: int = 0
    """Upper bound of the tokens still to be read and written for them."""

    @property
    def identity(self) -> tuple[str, int]:
        """Name and incarnation: what tells this engine from its predecessors."""
        return self.name, self.incarnation

    def add_load(self, requests: Iterable[Request]) -> None:
        """Count `requests` as under way on this engine."""
        for request in requests:
            self.sequences += 1
            self.tokens += request.max_total_tokens

    def remove_load(self, requests: Iterable[Request]) -> None:
        """Count `requests` as under way no longer."""
        for request in requests:
            self.sequences -= 1
            self.tokens -= request.max_total_tokens
