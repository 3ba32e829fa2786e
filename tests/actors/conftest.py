"""What the integration tests of the actors share: a learner with its fleet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actors.rollout.fleet_parts import Parts, start


@pytest.fixture(scope="session")
def parts(ray_cluster: str, tiny_model: Path) -> Iterator[Parts]:
    """One learner rank and two engines, loaded once: a test that kills an engine waits until it is
    back with the current weights.
    """
    started = start(tiny_model, "shared", workers=2, heartbeat_s=0.5, hang_timeout_s=10)
    started.run(started.push())
    yield started
    started.stop()
