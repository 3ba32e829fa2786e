"""What the learner would get of a group."""

from __future__ import annotations

from actors.rollout.round import JudgedGroup
from learner.trajectory import Trajectory, unpack


def trajectories_of(group: JudgedGroup) -> tuple[Trajectory, ...]:
    """Its trajectories; none where no sample has a reward."""
    return unpack(group.trajectories).trajectories if group.trajectories else ()
