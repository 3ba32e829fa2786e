"""The configuration of the sandbox: limits of one program, and the properties of a slot."""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

DEFAULT_IMAGE = "stepcoder-sandbox"
PACKAGE_SETS: dict[str, tuple[str, ...]] = {
    "standard": (),
    "contest": (
        *("numpy==2.5.5", "sortedcontainers==2.4.0", "networkx==3.7"),
        *("sympy==1.14.0", "mpmath==1.3.0"),
    ),
}
_REQUIREMENT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(==[A-Za-z0-9.!+]+)?")


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
    packages: Literal["standard", "contest"] | tuple[str, ...] = "standard"
    """What programs can import beyond Python itself: a PyPI package or a list of them, each perhaps
    with `==version`, or a set: `standard` (nothing), `contest` (numpy, sortedcontainers, networkx,
    sympy). They are installed into the default image; any other image, and the interpreter of the
    `process` backend, must have them already."""
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
    """Interpreter of the `process` backend; None: the one running now (without its virtual
    environment, unless there are `packages`)."""
    start_seconds: float = Field(default=60.0, gt=0)
    """Deadline for a runner to start and say hello."""
    watchdog_seconds: float = Field(default=10.0, gt=0)
    """How long after a program's own deadline the host waits before it replaces the runner."""

    @property
    def requirements(self) -> tuple[str, ...]:
        """The packages, sets resolved, in a fixed order."""
        names = PACKAGE_SETS[self.packages] if isinstance(self.packages, str) else self.packages
        return tuple(sorted(set(names)))

    @field_validator("packages", mode="before")
    @classmethod
    def _one_or_several(cls, packages: Any) -> Any:
        if isinstance(packages, str):
            return packages if packages in PACKAGE_SETS else (packages,)
        if not isinstance(packages, (list, tuple)) or not all(
            isinstance(name, str) for name in cast(Sequence[Any], packages)
        ):
            raise ValueError(
                f"must be a set ({', '.join(PACKAGE_SETS)}), the name of a package, or a list of "
                "names: [numpy, sortedcontainers]"
            )
        return tuple(cast(Sequence[str], packages))

    @field_validator("packages")
    @classmethod
    def _are_names(cls, packages: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in () if isinstance(packages, str) else packages:
            if name in PACKAGE_SETS:
                raise ValueError(f"{name} is a set and stands alone: leave out the other packages")
            if not _REQUIREMENT.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no package: give its name on PyPI, or NAME==VERSION, and several "
                    f"as a list, [numpy, sortedcontainers]; the sets are {', '.join(PACKAGE_SETS)}"
                )
        return packages
