"""A learner rank's own checks, without Ray."""

from __future__ import annotations

import pytest

from actors.errors import ActorLost
from actors.learners.worker import LearnerWorker


def test_a_restarted_rank_reports_that_it_has_lost_its_weights() -> None:
    worker = LearnerWorker(rank=1, world_size=2, colocated=False)
    with pytest.raises(ActorLost, match="learner-1 died and holds no weights"):
        worker.save_checkpoint("never-written")
