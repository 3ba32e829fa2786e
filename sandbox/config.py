"""The configuration of the sandbox: limits of one program, and the properties of a slot."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_IMAGE = "stepcoder-sandbox"


class Limits(BaseModel):
    """What one program may use, over all of its tests."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    wall_seconds: float = Field(default=10.0, gt=0, le=3600)
    """Time from the start of its process to the end of its last test."""
    cpu_seconds: int = Field(default=10, gt=0, le=3600)
    """Processor time; whole seconds."""
    memory_mib: int = Field(default=1024, ge=16, le=1 << 20)
    """Address space beyond the bare interpreter's; beyond it Python raises MemoryError."""
    output_kib: int = Field(default=4096, gt=0, le=32768)
    """Return values or printed text, all tests together; more is a runtime error."""

    def with_seconds(self, seconds: float) -> "Limits":
        """These limits with at least as much time, up to the largest that is allowed."""
        wall, cpu = min(seconds, 3600.0), min(math.ceil(seconds), 3600)
        longer = {
            "wall_seconds": max(self.wall_seconds, wall), "cpu_seconds": max(self.cpu_seconds, cpu)
        }  # fmt: skip
        return self.model_copy(update=longer)


class SandboxConfig(BaseModel):
    """One kind of sandbox slot."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    backend: Literal["auto", "docker", "process"] = "auto"
    """`docker` isolates programs; `process` does not and is for machines without an engine; `auto`
    is docker if it can be used, otherwise process."""
    image: str = DEFAULT_IMAGE
    """Image of the container. The default is built when missing; any other name must exist."""
    image_source: Literal["auto", "debian", "registry"] = "auto"
    """What a missing default image is built from: `debian` packages (as root on Debian) or the
    official Python image of a `registry`; `auto`: packages where they can be installed."""
    runtime: str | None = None
    """OCI runtime as the engine knows it (`runsc` for gVisor); None: the engine's default."""
    container_memory_mib: int = Field(default=2048, ge=256)
    """The kernel's memory limit of a container; to be larger than `limits.memory_mib`."""
    container_cpus: float = Field(default=1.0, gt=0)
    """Processors of a container."""
    recycle_after: int = Field(default=5000, gt=0, le=100_000)
    """Jobs after which a runner is replaced by a fresh one, which takes some 0.4 s."""
    limits: Limits = Limits()
    """The limits of jobs that have none of their own."""
    coverage: bool = True
    """Record executed statements; without it every verdict's `statements` is empty."""
    python: str | None = None
    """Interpreter of the `process` backend; None: the one running now."""
    start_seconds: float = Field(default=60.0, gt=0)
    """Deadline for a runner to start and say hello."""
    watchdog_seconds: float = Field(default=10.0, gt=0)
    """How long after a program's own deadline the host waits before it replaces the runner."""
