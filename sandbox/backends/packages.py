"""The packages that programs can import: their wheels, and the modules that they bring."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox.errors import PackagesError

PIP_SECONDS = 600
DESCRIBE = (
    "import json, site, sys, sysconfig\n"
    "print(json.dumps([sys.version_info[:2], sysconfig.get_config_var('HOST_GNU_TYPE') or '',\n"
    "    site.getsitepackages()[0]]))"
)
"""Prints an interpreter's version, machine and the folder of its packages."""
FIND = (
    "import importlib.metadata as metadata, json, sys\n"
    "def modules(name):\n"
    "    try: files = metadata.distribution(name).files or ()\n"
    "    except metadata.PackageNotFoundError: return None\n"
    "    parts = {file.parts[0] for file in files if file.suffix in ('.py', '.so')}\n"
    "    return sorted(n for n in (part.split('.')[0] for part in parts) if n.isidentifier())\n"
    "print(json.dumps({name: modules(name) for name in sys.argv[1:]}))"
)
"""Prints the modules that each of the packages in its arguments brings; null for a missing one."""
_GLIBC_MINORS = (41, 39, 36, 35, 34, 31, 28, 27, 26, 24, 17)


def find_modules(
    requirements: Sequence[str], run: Callable[[list[str]], str], remedy: str
) -> frozenset[str]:
    """The top-level modules of the packages, by the interpreter whose `run` is given arguments.

    Raises:
        PackagesError: a package is missing; `remedy` says where to put it.
    """
    if not requirements:
        return frozenset()
    names = [requirement.partition("==")[0] for requirement in requirements]
    try:
        found: dict[str, list[str] | None] = json.loads(run(["-c", FIND, *names]))
    except ValueError as error:
        raise PackagesError(f"the packages could not be looked up: {error}") from error
    missing = [name for name in names if found.get(name) is None]
    if missing:
        raise PackagesError(f"sandbox.packages: {', '.join(missing)}: {remedy}")
    return frozenset(module for modules in found.values() for module in modules or ())


def download(
    requirements: Sequence[str], folder: Path, version: tuple[int, int], machine: str
) -> None:
    """Install the packages' wheels, and those they need, into a folder, for another Python.

    Args:
        requirements: names, each perhaps with `==version`.
        folder: filled; later a folder of the image's packages.
        version: the Python they are for, `(3, 13)`.
        machine: the processor, `x86_64` or `aarch64`.

    Raises:
        PackagesError: pip is missing, a package has no wheel, or no index can be reached.
    """
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC_MINORS]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    python = f"{version[0]}.{version[1]}"
    target = (
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={python}"),
        *(f"--platform={platform}" for platform in platforms),
    )
    with tempfile.TemporaryDirectory(prefix="stepcoder-wheels-") as wheels:
        # Two commands, because only the first judges `Requires-Python` by the Python given.
        ended = _pip("download", "--dest", wheels, *target, *requirements)
        if ended.returncode == 0:
            files = sorted(map(str, Path(wheels).glob("*.whl")))
            ended = _pip("install", "--no-index", "--no-deps", "--no-compile", "--target",
                         str(folder), "--ignore-requires-python", *target, *files)  # fmt: skip
    if ended.returncode:
        errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = errors[0].removeprefix("ERROR: ") if errors else ended.stderr.strip()[-300:]
        raise PackagesError(
            f"sandbox.packages: {reason}: each must be a package with a wheel for Python {python} "
            f"on {machine}; check the name, or name an `image` of your own that has it"
        )


def _pip(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PackagesError(
            f"the packages of sandbox.packages did not come within {PIP_SECONDS} s: is the package "
            "index reachable?"
        ) from error
