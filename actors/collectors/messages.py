"""What the driver and a collector send each other: orders of groups, and deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from actors.rollout.round import JudgedSample
from actors.sandboxes.pool import Loss
from curriculum.subtask import Subtask
from learner.trajectory import PackedGroup


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    temperature: float
    """0 is greedy."""
    top_p: float
    """Probability mass that is sampled from."""
    max_new_tokens: int
    """Longest completion [tokens]."""


@dataclass(frozen=True)
class GroupOrder:
    """One prompt to be answered."""

    index: int
    """Its place in the round."""
    subtask: Subtask
    """What is asked."""
    seeds: Mapping[int, int]
    """The seed of each sample, by sample id."""
    detail: bool = False
    """Whether texts, programs and verdicts are wanted."""
    programs: bool = False
    """Whether the programs that passed are wanted."""


class EngineState(NamedTuple):
    """What a collector must know of one engine."""

    incarnation: int
    """As in `EngineHandle`."""
    ready: bool
    """Whether it answers calls and holds the current weights."""


@dataclass(frozen=True)
class EnginesView:
    """The state of a collector's engines at one moment."""

    number: int
    """Of two views, the one with the larger number is the newer."""
    version: int
    """Weights that every new completion must be generated with."""
    states: tuple[EngineState, ...]
    """In the order of the collector's engines."""


@dataclass(frozen=True)
class Order:
    """Groups for one collector."""

    number: int
    """Unique among the driver's."""
    round: int
    """The round that the groups belong to; older rounds have smaller numbers."""
    groups: tuple[GroupOrder, ...]
    """What to ask."""
    sampling: Sampling
    """How completions are drawn."""
    attempts: Mapping[int, int]
    """Engines lost under each sample so far, by sample id."""
    engines: EnginesView
    """The engines, when the order was sent."""
    trajectories: bool
    """Whether the samples are learned from: those with a reward are packed."""
    wait_s: float
    """Longest time that a finished group waits for others to be delivered with [seconds]. What was
    delivered is not lost with the collector."""


class EngineFailure(NamedTuple):
    """An engine that failed, as a collector saw it."""

    index: int
    """Its place among the collector's engines."""
    incarnation: int
    """The one that failed."""
    cause: str
    """For the log."""


class FinishedGroup(NamedTuple):
    """A group whose samples are all generated and judged."""

    index: int
    """As in the order."""
    prompt_tokens: int
    """Length of the prompt [tokens]."""
    samples: tuple[JudgedSample, ...]
    """In the order of their ids."""
    trajectories: PackedGroup | None
    """As in `JudgedGroup`."""
    programs: tuple[str, ...]
    """As in `JudgedGroup`."""
    detail: bytes
    """As in `JudgedGroup`."""


@dataclass(frozen=True)
class Delivery:
    """What a collector has done of an order since the delivery before."""

    finished: tuple[FinishedGroup, ...]
    """Groups that are finished."""
    failures: tuple[EngineFailure, ...] = ()
    """Engines that failed, of any order."""
    losses: tuple[Loss, ...] = ()
    """Sandbox workers that were lost, of any order."""
    attempts: Mapping[int, int] | None = None
    """Engines lost under the order's samples, where that changed."""
    completion_age_s: float | None = None
    """Time since the order's last completion; None before the first [seconds]."""
    peak_judging: int = 0
    """Largest number of the round's completions that waited for their verdict at a time here."""
    outstanding_tokens: int = 0
    """Tokens that the collector's engines have still to read and write."""
    processor_s: float = 0.0
    """Processor time of the collector's process since its start [seconds]."""
    last: bool = False
    """Whether the order has ended, and nothing follows."""


class Progress(NamedTuple):
    """How far a collector came with a round."""

    generated: int
    """Samples."""
    judged: int
    """Samples."""
