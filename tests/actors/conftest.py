"""A private Ray cluster for the integration tests of this folder, and a learner with its fleet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import ray


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One node with what a small run asks for, ended with the session."""
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
