"""The house's layout and the one direction of its imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("actors", "curriculum", "deploy", "learner", "sandbox")
MAY_IMPORT = {
    "curriculum": set(),
    "sandbox": {"curriculum"},
    "learner": {"curriculum"},
    "actors": {"curriculum", "sandbox", "learner"},
    "deploy": {"curriculum", "sandbox", "learner", "actors"},
}
LONGEST_MODULE = 400

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_point_one_way(path: Path) -> None:
    own = package_of(path)
    for module in imports(path):
        top = module.partition(".")[0]
        if top in PACKAGES and top != own:
            assert top in MAY_IMPORT[own], f"{own} must not import {module}"
            if own in ("sandbox", "learner"):
                assert module == "curriculum.problem", f"{own} may use curriculum's data types only"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_each_framework_is_known_where_it_belongs(path: Path) -> None:
    own = package_of(path)
    tops = {module.partition(".")[0] for module in imports(path)}
    if own not in ("actors", "deploy"):
        assert "ray" not in tops
    if not named(path).startswith(("actors/rollout/worker", "actors/weights/", "deploy/bench/")):
        assert "vllm" not in tops
    if own in ("curriculum", "sandbox"):
        assert not tops & {"torch", "transformers", "deepspeed"}


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_modules_fit_in_a_head(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST_MODULE, f"{lines} lines: does it still hold one noun?"
    assert path.stem not in ("utils", "helpers", "common", "misc", "manager")


def test_every_package_has_tests_and_its_place() -> None:
    for package in PACKAGES:
        assert (ROOT / package / "__init__.py").exists()
        assert list((ROOT / "tests" / package).rglob("test_*.py")), f"no tests of {package}"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import curriculum", {"torch", "ray", "transformers"}),
        ("import sandbox", {"torch", "ray", "transformers"}),
        ("import learner.algorithm.loss, learner.mask", {"deepspeed", "ray", "vllm"}),
        ("import deploy.config", {"torch", "ray", "vllm", "deepspeed"}),
        # Ray reads how it authenticates when it is imported, and some commands set that first.
        ("import deploy.cli", {"torch", "ray", "vllm", "deepspeed", "matplotlib"}),
    ],
)
def test_light_imports_stay_light(statement: str, absent: set[str]) -> None:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not absent & set(loaded)
