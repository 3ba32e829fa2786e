"""The sandbox's limits and packages as options of a command."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import ValidationError

from curriculum.errors import first_fault
from deploy.errors import ConfigError
from sandbox.config import Limits, SandboxConfig


@Parameter(name="*")
@dataclass(frozen=True)
class LimitOptions:
    """What one run of a program may use; None: the default of `sandbox.limits`."""

    wall_seconds: Annotated[
        float | None,
        Parameter(help="Time limit of one run over all tests [seconds]; 10."),
    ] = None
    cpu_seconds: Annotated[
        int | None, Parameter(help="Processor time of one run [seconds]; as --wall-seconds.")
    ] = None
    memory_mib: Annotated[int | None, Parameter(help="Memory of one run [MiB]; 1024.")] = None
    output_kib: Annotated[int | None, Parameter(help="Output of one run [KiB]; 4096.")] = None
    packages: Annotated[
        tuple[str, ...],
        Parameter(help="Packages to import, as sandbox.packages: a set, or names from PyPI."),
    ] = ()

    def config(self, backend: Literal["auto", "docker", "process"]) -> SandboxConfig:
        """The configuration of a sandbox with these limits and packages.

        Raises:
            ConfigError: a value that no sandbox takes; names the option.
        """
        chosen = self.packages
        packages = chosen[0] if len(chosen) == 1 else chosen
        try:
            return SandboxConfig.model_validate(
                {"backend": backend, "limits": self.limits(), "packages": packages or "standard"}
            )
        except ValidationError as error:
            raise ConfigError(f"--packages: {first_fault(error)[1]}") from None

    def limits(self) -> Limits:
        """The limits.

        Raises:
            ConfigError: a value that no sandbox takes; names the option.
        """
        given = {name: v for name, v in dataclasses.asdict(self).items() if v is not None}
        del given["packages"]
        if self.wall_seconds is not None and self.wall_seconds > 0:
            given.setdefault("cpu_seconds", math.ceil(self.wall_seconds))
        try:
            return Limits(**given)
        except ValidationError as error:
            field, reason = first_fault(error)
            raise ConfigError(f"--{field.replace('_', '-')}: {reason}") from None
