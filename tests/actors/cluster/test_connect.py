"""What a cluster lacks for a run is told before anything starts, as is one that does not answer."""

from __future__ import annotations

import signal
import socket
from types import SimpleNamespace

import pytest
from ray.exceptions import AuthenticationError

from actors.cluster import connect as connect_module
from actors.cluster import placement as placement_module
from actors.cluster.connect import check_memory, connect, job_text
from actors.cluster.placement import check_placement, reserve, roles
from actors.config import PlacementConfig, RolloutConfig, SandboxPoolConfig
from actors.errors import RunFailed

ROOMY = {"CPU": 8.0, "sandbox": 4.0, "GPU": 4.0}


def check(resources: dict[str, float], gpu: bool = False, workers: int = 1) -> None:
    rollout = RolloutConfig(workers=workers)
    check_placement(resources, PlacementConfig(), rollout, SandboxPoolConfig(), gpu)


def test_a_cluster_with_enough_resources_is_accepted() -> None:
    check(ROOMY)
    check(ROOMY, gpu=True, workers=3)


def test_colocated_roles_share_one_gpu_and_one_bundle() -> None:
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
    ("resources", "gpu", "workers", "message"),
    [
        ({"CPU": 1.0, "sandbox": 1.0}, False, 1, "CPU: 2 required .*rollout.workers.*has 1"),
        ({"CPU": 8.0}, False, 1, "sandbox: 1 required .*ray start --resources.*has 0"),
        ({**ROOMY, "GPU": 1.0}, True, 1, "GPU: 2 required .*learner_ranks.*has 1"),
        ({**ROOMY, "GPU": 0.0}, True, 1, "GPU: 2 required .*nvidia-smi.*accelerator cpu.*has 0"),
    ],
)
def test_a_missing_resource_is_named_with_the_setting_that_requires_it(
    resources: dict[str, float], gpu: bool, workers: int, message: str
) -> None:
    with pytest.raises(RunFailed, match=message):
        check(resources, gpu=gpu, workers=workers)


@pytest.mark.parametrize("address", ["10.0.0.1:6379", None])
def test_nodes_may_still_join_a_cluster_that_is_not_the_runs_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str | None
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    for name in ("_join", "start_private_cluster"):
        monkeypatch.setattr(connect_module, name, lambda *_, **__: None)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 8.0})
    run = PlacementConfig(min_free_memory_gib=0, timeout_s=7), RolloutConfig(), SandboxPoolConfig()
    if address is None:
        with pytest.raises(RunFailed, match="sandbox: 1 required"):
            connect(*run)
        return
    assert not connect(*run).gpu
    assert "sandbox: 1 required (pool.workers; start execution nodes" in caplog.text
    assert "waiting up to 7 s for nodes that join" in caplog.text


def test_what_has_not_joined_in_time_is_named_with_its_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    removed: list[object] = []
    group = SimpleNamespace(wait=lambda timeout_seconds: False)
    monkeypatch.setattr(placement_module, "placement_group", lambda *_, **__: group)
    monkeypatch.setattr(placement_module, "remove_placement_group", removed.append)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 8.0})
    with pytest.raises(RunFailed, match=r"sandbox: 1 required \(pool.workers; start execution"):
        reserve(PlacementConfig(), RolloutConfig(), SandboxPoolConfig(), gpu=False)
    assert removed == [group]


def test_a_run_is_refused_when_too_little_memory_is_free() -> None:
    check_memory(0)
    with pytest.raises(RunFailed, match=r"GiB of memory are free.*min_free_memory_gib"):
        check_memory(1e6)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_does_not_answer_is_reported_at_once(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    placement = PlacementConfig(min_free_memory_gib=0)
    with pytest.raises(RunFailed, match=f"RAY_ADDRESS={address} .*make local-cluster"):
        connect(placement, RolloutConfig(), SandboxPoolConfig())


@pytest.mark.parametrize(
    ("address", "remedy"),
    [(None, r"timed out during startup\. Try again when"), ("auto", "timed out .*make local-cl")],
)
def test_a_ray_node_that_times_out_at_startup_is_one_message_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, address: str | None, remedy: str
) -> None:
    def time_out(**_settings: object) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr("ray.init", time_out)
    monkeypatch.setattr("ray.shutdown", lambda: None)  # the session's own cluster stays up
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    placement = PlacementConfig(min_free_memory_gib=0)
    with pytest.raises(RunFailed, match=remedy):
        connect(placement, RolloutConfig(), SandboxPoolConfig())


@pytest.mark.parametrize(
    "error",
    [
        # What `ray.init` of 2.60 raises with another cluster's token, and with none.
        ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379"),
        AuthenticationError("Token authentication is enabled but no token was found\nRead more"),
    ],
)
def test_a_token_that_the_cluster_does_not_take_is_one_message_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(**_settings: object) -> None:
        raise error

    monkeypatch.setattr("ray.init", refuse)
    placement = PlacementConfig(min_free_memory_gib=0)
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        head.listen()
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{head.getsockname()[1]}")
        with pytest.raises(RunFailed, match=r"does not take .* token.*: copy ~/.ray/auth_token .*"):
            connect(placement, RolloutConfig(), SandboxPoolConfig())


def test_joining_ray_keeps_the_handler_for_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    def replace_handler(**_settings: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def handler(*_: object) -> None: ...

    monkeypatch.setattr("ray.init", replace_handler)
    monkeypatch.setattr("ray.cluster_resources", lambda: ROOMY)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before = signal.signal(signal.SIGTERM, handler)
    try:
        connect(PlacementConfig(min_free_memory_gib=0), RolloutConfig(), SandboxPoolConfig())
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("configured", "text"),
    [
        ('{"metadata": {"job_submission_id": "hot-1"}}', "Ray job 02000000, submitted as hot-1"),
        ('{"metadata": null}', "Ray job 02000000"),
        ("{", "Ray job 02000000"),
        (None, "Ray job 02000000"),
    ],
)
def test_a_run_names_its_job(
    configured: str | None, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SimpleNamespace(get_job_id=lambda: "02000000")
    monkeypatch.setattr(connect_module.ray, "get_runtime_context", lambda: context)
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    if configured is not None:
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", configured)
    assert job_text() == text
