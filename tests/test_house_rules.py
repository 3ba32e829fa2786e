"""The layout of the packages and the directions of their imports."""

from __future__ import annotations

import ast
import graphlib
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
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
ACTORS_MAY_IMPORT = {
    "training": {
        "recording",
        "collectors",
        "learners",
        "evaluation",
        "rewards",
        "rollout",
        "sandboxes",
        "weights",
        "runs",
        "cluster",
    },
    "recording": {"rollout", "runs"},
    "rewards": {"rollout"},
    "evaluation": {"collectors", "rollout", "sandboxes", "runs", "cluster"},
    "collectors": {"rewards", "rollout", "sandboxes", "weights", "runs", "cluster"},
    "rollout": {"sandboxes", "weights", "models", "runs", "cluster"},
    "learners": {"weights", "models", "runs", "cluster"},
    "sandboxes": {"runs", "cluster"},
    "weights": {"cluster"},
    "models": {"runs", "cluster"},
    "runs": set(),
    "cluster": set(),
}
"""Sub-packages of `actors`, and which others each may import."""
KNOW_VLLM = ("actors/rollout/worker.py", "actors/weights/", "deploy/bench/")
LONGEST_MODULE = 400
MEDIAN_MODULE = 130
MOST_MODULES_IN_A_FOLDER = 12

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def dotted(path: Path) -> str:
    """The module's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULE_NAMES = {dotted(path) for path in MODULES}


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement, also inside functions; not what is imported for the type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from statements(node)


@cache
def imports(path: Path) -> frozenset[str]:
    """The modules that a module imports; `from package import module` names the module."""
    modules: set[str] = set()
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= names & MODULE_NAMES
            if names - MODULE_NAMES:
                modules.add(node.module)
    return frozenset(modules)


def sub_package(module: str) -> str:
    """`actors.rollout` for `actors.rollout.fleet`; a module outside sub-packages is its own."""
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 else module


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def test_imports_point_one_way() -> None:
    wrong: list[str] = []
    for path in MODULES:
        own = package_of(path)
        for module in imports(path):
            top = module.partition(".")[0]
            if top not in PACKAGES or top == own:
                continue
            # Sandbox and learner may use curriculum's data types only, and its parser.
            narrow = {"sandbox": ("problem", "syntax"), "learner": ("problem",)}.get(own)
            too_much = narrow and module.removeprefix("curriculum.") not in narrow
            if top not in MAY_IMPORT[own] or too_much:
                wrong.append(f"{named(path)} imports {module}")
    assert wrong == []


def test_sub_packages_of_actors_import_one_way() -> None:
    wrong: list[str] = []
    for path in MODULES:
        package, _, rest = dotted(path).partition(".")
        own = rest.partition(".")[0]
        if package != "actors" or own not in ACTORS_MAY_IMPORT:
            continue
        targets = {name.split(".")[1] for name in imports(path) if name.startswith("actors.")}
        targets &= ACTORS_MAY_IMPORT.keys() - ACTORS_MAY_IMPORT[own] - {own}
        wrong += [f"{named(path)} imports actors.{target}" for target in sorted(targets)]
    assert wrong == []


def test_no_import_circle_between_modules() -> None:
    graph = {dotted(path): set(imports(path)) & MODULE_NAMES for path in MODULES}
    assert circle(graph) is None


def test_no_import_circle_between_sub_packages() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        own = sub_package(dotted(path))
        targets = {sub_package(name) for name in imports(path) if name in MODULE_NAMES}
        graph.setdefault(own, set()).update(targets - {own})
    assert circle(graph) is None


def circle(graph: dict[str, set[str]]) -> list[str] | None:
    """One circle of imports, if there is any."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def test_each_framework_is_known_where_it_belongs() -> None:
    wrong: list[str] = []
    for path in MODULES:
        own, absent = package_of(path), set[str]()
        if own not in ("actors", "deploy"):
            absent.add("ray")
        if not named(path).startswith(KNOW_VLLM):
            absent.add("vllm")
        if own in ("curriculum", "sandbox"):
            absent |= {"torch", "transformers", "deepspeed"}
        known = absent & {module.partition(".")[0] for module in imports(path)}
        wrong += [f"{named(path)} imports {name}" for name in sorted(known)]
    assert wrong == []


def test_modules_are_short() -> None:
    lengths = {named(path): len(path.read_text().splitlines()) for path in MODULES}
    long = {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE}
    assert long == {}, "does it still hold one noun?"
    names = {path.stem for path in MODULES}
    assert not names & {"utils", "helpers", "common", "misc", "manager"}


def test_the_median_module_is_short() -> None:
    lengths = [len(path.read_text().splitlines()) for path in MODULES if path.stem != "__init__"]
    assert statistics.median(lengths) < MEDIAN_MODULE


def test_no_folder_has_too_many_modules() -> None:
    counts = Counter(named(path.parent) for path in MODULES if path.stem != "__init__")
    crowded = {name: count for name, count in counts.items() if count > MOST_MODULES_IN_A_FOLDER}
    assert crowded == {}, (
        f"more than {MOST_MODULES_IN_A_FOLDER} modules: which of them are of one noun and make a "
        "sub-package?"
    )


def test_every_package_has_tests_and_its_place() -> None:
    for package in PACKAGES:
        assert (ROOT / package / "__init__.py").exists()
        assert list((ROOT / "tests" / package).rglob("test_*.py")), f"no tests of {package}"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import curriculum", {"torch", "ray", "transformers"}),
        ("import sandbox", {"torch", "ray", "transformers"}),
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
