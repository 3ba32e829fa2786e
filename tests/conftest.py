"""What several packages' tests share: a tiny random policy with its tokenizer, a Ray cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The commands under test write to no terminal, whatever CI says of the one it runs in.
for _name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR", "COLUMNS", "LINES"):
    os.environ.pop(_name, None)

# Containers often switch bytecode off. Every process that a test starts would compile what it
# imports once more, and vLLM alone takes half a minute to compile.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Ray's actors have as much processor time as the tests of pytest-xdist's other worker, and as other
# programs of the machine; Ray's default is a niceness of 15.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray spells it so)

# Without deadlines: a busy machine makes any example slow. The same examples in every run; the soak
# looks for others.
settings.register_profile("default", deadline=None, max_examples=60, derandomize=True)
settings.register_profile(
    "soak", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@cache
def engine_missing() -> str | None:
    """Why no Docker engine can be used, with the remedy; None where one answers."""
    from sandbox import SandboxError
    from sandbox.backends.docker_client import connect

    try:
        connect(timeout=10).close()
    except SandboxError as error:
        return str(error)
    return None


GROUPS = {
    "learner": (
        "tests/learner/",
        "tests/actors/weights/test_exact_logprobs.py",
        "tests/deploy/bench/",
        "tests/deploy/commands/",
        "tests/deploy/inspection/",
        "tests/deploy/report/",
        "tests/docs/test_commands.py",
    ),
    "actors": ("tests/actors/",),
}
"""Groups of integration tests by the first paths that fit; all others are of group `ray`. Those of
`learner` start no Ray: DeepSpeed, sandboxes, vLLM's sampler or a browser alone."""


RERUNS = 1
"""Further tries of a failed test of real processes: a kill, a heartbeat or a full machine may come
between it and what it is about once in some hundred runs. A fault of the code fails each try; the
summary names every test that was tried again (`RERUN`)."""


def _rank(item: pytest.Item) -> int:
    """The place of a test's group in the order in which workers take them."""
    group = item.get_closest_marker("xdist_group")
    order = ["ray", *GROUPS]
    name = group.args[0] if group else "ray"
    return order.index(name) if name in order else len(order)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    """Three groups take longest and come first, in this order: whole commands on Ray; what trains,
    because those tests share trained weights; the actors on a Ray of their own. Of two workers of
    pytest-xdist one runs the first group and the other one the next two. Every other module is a
    group, so that what it imports and prepares is made in one worker. (The Makefile switches off
    that pytest-xdist sorts groups by their number of tests.)
    """
    for item in items:
        if item.get_closest_marker("integration") or item.get_closest_marker("docker"):
            item.add_marker(pytest.mark.flaky(reruns=RERUNS))
        if item.get_closest_marker("xdist_group") or not config.pluginmanager.hasplugin("xdist"):
            continue
        group = item.nodeid.partition("::")[0]
        if item.get_closest_marker("integration"):
            group = next(
                (name for name, paths in GROUPS.items() if item.nodeid.startswith(paths)), "ray"
            )
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_rank)
    result = yield  # a wrapper, because pytest-xdist reads the groups in this hook too
    if config.getoption("loadgroup", False):
        ungrouped = [item for item in items if item.get_closest_marker("xdist_group")
                     and "@" not in item.nodeid]  # fmt: skip
        if ungrouped:
            raise pytest.UsageError(f"pytest-xdist ignored the group of {ungrouped[0].nodeid}")
    return result


ENGINES = pytest.StashKey[set[str]]()


def engines_here() -> set[str]:
    """The engines in this process: DeepSpeed by its process group, Ray by its connection, vLLM by
    its import. transformers imports DeepSpeed to save a model, so that import proves nothing.
    """
    started = {
        "Ray": (ray := sys.modules.get("ray")) is not None and ray.is_initialized(),
        "DeepSpeed": (torch := sys.modules.get("torch")) is not None
        and torch.distributed.is_initialized(),
        "vLLM": "vllm" in sys.modules,
    }
    return {name for name, here in started.items() if here}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A unit test fails if it, or a fixture it is the first to use, brought up an engine, or ended
    one that other tests of this process use."""
    result = yield
    if item.get_closest_marker("integration") is None:
        before, now = item.stash[ENGINES], engines_here()
        started, ended = ", ".join(now - before), ", ".join(before - now)
        assert not started, f"starts {started}: mark it with pytest.mark.integration"
        assert not ended, f"ends the {ended} of other tests: have it leave that alone"
    return result


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Docker tests skip where no engine answers, and fail there if CI says that one must."""
    item.stash[ENGINES] = engines_here()
    if item.get_closest_marker("docker") and (reason := engine_missing()):
        if os.environ.get("STEPCODER_REQUIRE_DOCKER"):
            pytest.fail(f"STEPCODER_REQUIRE_DOCKER is set and {reason}", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def corpus() -> list[tuple[str, str]]:
    """A few hundred pairs of question and solution."""
    from curriculum import noisy_corpus

    return list(noisy_corpus(7, 400, set()))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, corpus: list[tuple[str, str]]) -> Path:
    """A Hugging Face folder: two random layers and a tokenizer that knows the bundled tasks."""
    from learner.config import ModelConfig
    from learner.models.networks import create_llama
    from learner.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("tiny-model")
    shape = ModelConfig(hidden_size=64, layers=2, heads=1, intermediate_size=128)
    tokenizer = train_tokenizer((f"{q}\n{s}" for q, s in corpus), shape.vocab_size)
    create_llama(shape, tokenizer, seed=3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium (`tests.browser`); tests that use it are marked `browser`.

    One for each module: while it is open, Playwright's event loop runs in this thread, and the
    next test could not call `asyncio.run`.
    """
    from tests.browser import launched

    with launched() as started:
        yield started


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """The address of a Ray cluster of one node with what a small run needs; ended with the session.

    This process is connected to it; a command joins it by RAY_ADDRESS.
    """
    import ray

    ray.init(
        address="local",  # not whatever cluster already runs on this machine
        num_cpus=8,
        resources={"sandbox": 4.0},
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 << 20,
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
