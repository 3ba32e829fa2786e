"""What the integration tests of the actors share: a Ray cluster, and a learner with its fleet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from tests.actors.rollout.fleet_parts import Parts, start


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One node with what a small run needs, ended with the session."""
    ray.init(
        address="local",  # not whatever cluster already runs on this machine
        num_cpus=8,
        resources={"sandbox": 4.0},
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 << 20,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def parts(ray_cluster: None, tiny_model: Path) -> Iterator[Parts]:
    """One learner rank and two engines, loaded once: a test that kills an engine waits until it is
    back with the current weights.
    """
    started = start(tiny_model, "shared", workers=2, heartbeat_s=0.5, hang_timeout_s=10)
    started.run(started.push())
    yield started
    started.stop()
