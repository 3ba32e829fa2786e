"""What cannot be placed is said before anything starts."""

from __future__ import annotations

import pytest

from actors.cluster.connect import check_memory, check_placement, connect
from actors.cluster.placement import roles
from actors.config import PlacementConfig, RolloutConfig, SandboxPoolConfig
from actors.errors import RunFailed

ROOMY = {"CPU": 8.0, "sandbox": 4.0, "GPU": 4.0}


def check(resources: dict[str, float], gpu: bool = False, **rollout: int) -> None:
    check_placement(
        resources, PlacementConfig(), RolloutConfig(**rollout), SandboxPoolConfig(), gpu
    )


def test_a_cluster_with_room_is_accepted() -> None:
    check(ROOMY)
    check(ROOMY, gpu=True, workers=3)


def test_colocated_roles_ask_for_one_gpu_and_one_bundle_together() -> None:
    placement, rollout = PlacementConfig(learner_ranks=2, colocate=True), RolloutConfig(workers=2)
    pool = SandboxPoolConfig(workers=1)
    check_placement({"CPU": 4.0, "sandbox": 1.0, "GPU": 2.0}, placement, rollout, pool, gpu=True)
    both, sandbox = {"CPU": 2, "GPU": 1}, ("sandbox", 1, {"sandbox": 1})
    assert roles(placement, rollout, pool, gpu=True) == [("learner and rollout", 2, both), sandbox]
    apart = placement.model_copy(update={"colocate": False})
    one = {"CPU": 1, "GPU": 1}
    assert roles(apart, rollout, pool, gpu=True) == [
        ("learner", 2, one),
        ("rollout", 2, one),
        sandbox,
    ]


@pytest.mark.parametrize(
    ("resources", "gpu", "workers", "said"),
    [
        ({"CPU": 1.0, "sandbox": 1.0}, False, 1, "CPU: 2 asked .*rollout.workers.*has 1"),
        ({"CPU": 8.0}, False, 1, "sandbox: 1 asked .*ray start --resources.*has 0"),
        ({**ROOMY, "GPU": 1.0}, True, 1, "GPU: 2 asked .*learner_ranks.*has 1"),
    ],
)
def test_what_is_short_is_named_with_its_asker(
    resources: dict[str, float], gpu: bool, workers: int, said: str
) -> None:
    with pytest.raises(RunFailed, match=said):
        check(resources, gpu=gpu, workers=workers)


def test_a_run_does_not_start_into_too_little_memory() -> None:
    check_memory(0)
    with pytest.raises(RunFailed, match=r"GiB of memory are free.*min_free_memory_gib"):
        check_memory(1e6)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_does_not_answer_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    placement = PlacementConfig(min_free_memory_gib=0)
    with pytest.raises(ConnectionError, match=f"RAY_ADDRESS={address} .*make local-cluster"):
        connect(placement, RolloutConfig(), SandboxPoolConfig())
