"""Programs import the packages of `sandbox.packages`, at the cost of a plain program."""

import sys

import pytest
from pydantic import ValidationError

from curriculum.problem import Test
from sandbox import Job, Limits, Outcome, Sandbox, SandboxConfig, SetupError
from sandbox.backends.docker_image import image_name
from tests.sandbox.conftest import DOCKER, open_sandbox

PROGRAMS = {
    "numpy": (
        "import numpy as np\ndef f(x):\n    a = np.arange(x)\n    if x > 99:\n        return None\n"
        "    return a.sum()\n"
    ),
    "linear algebra": (
        "from numpy.linalg import matrix_power as power\nimport numpy\n"
        "def f(x):\n    return power(numpy.array([[1, x], [0, 1]]), x - 1)[0][1] // 2\n"
    ),
    "sortedcontainers": (
        "from sortedcontainers import SortedList\ndef f(x):\n    return sum(SortedList(range(x)))\n"
    ),
    "networkx": (
        "import networkx as nx\ndef f(x):\n    return nx.complete_graph(x).number_of_edges()\n"
    ),
    "sympy": (
        "from sympy import symbols, summation\nk = symbols('k')\n"
        "def f(x):\n    return summation(k, (k, 0, x - 1))\n"
    ),
    "several": (
        "import numpy as np, networkx as nx\n"
        "def f(x):\n    return np.int64(nx.complete_graph(x).number_of_edges())\n"
    ),
    "inside a function": "def f(x):\n    import numpy\n    return int(numpy.arange(x).sum())\n",
}
"""Each returns the sum of the numbers below x."""
TESTS = (Test(input=[5], output=10), Test(input=[3], output=3))


@pytest.fixture(scope="module", params=[DOCKER, "process"])
def contest(request):
    with open_sandbox(request.param, packages="contest") as sandbox:
        yield sandbox


def job(source, **fields):
    return Job(**{"id": "p", "source": source, "fn_name": "f", "tests": TESTS, **fields})


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("comparison", ["exact", "close"])
def test_programs_import_packages(contest, name, comparison):
    verdict = contest.run(job(PROGRAMS[name], comparison=comparison))
    assert verdict.outcome is Outcome.passed, verdict.error
    assert not verdict.coverage_tampered
    if name == "numpy":
        assert verdict.executed_lines == (1, 2, 3, 4, 6)


def test_programs_on_stdin_import_packages(contest):
    source = "import numpy as np\nn = int(input())\nprint(np.arange(n).sum())\n"
    tests = (Test(input="5", output="10"), Test(input="3", output="3"))
    verdict = contest.run(job(source, fn_name=None, tests=tests))
    assert verdict.outcome is Outcome.passed, verdict.error


def test_arrays_are_lists_and_scalars_numbers(contest):
    source = (
        "import numpy as np\ndef f(x):\n"
        "    return [np.arange(x), np.float64(0.5), {np.int64(1): np.bool_(True)}]\n"
    )
    tests = (Test(input=[2], output=[[0, 1], 0.5, {1: True}]),)
    for comparison in ("exact", "close"):
        verdict = contest.run(job(source, tests=tests, comparison=comparison))
        assert verdict.outcome is Outcome.passed, verdict.error


def test_a_disguised_array_is_what_it_holds(contest):
    source = (
        "import numpy as np\nclass A(np.ndarray):\n"
        "    def tolist(self): return Equal()\n    def __eq__(self, o): return True\n"
        "class Equal(list):\n    def __eq__(self, o): return True\n"
        "def f(x):\n    return np.zeros(2).view(A)\n"
    )
    assert contest.run(job(source)).outcome is Outcome.failed


def test_limits_hold_for_packages(contest):
    source = "import numpy as np\ndef f(x):\n    return np.ones(10**11).sum()\n"
    assert contest.run(job(source)).outcome is Outcome.out_of_memory
    source = (
        "import numpy as np\ndef f(x):\n    a = np.ones((3000, 3000))\n    while True: a = a @ a\n"
    )
    limits = Limits(wall_seconds=1)
    assert contest.run(job(source, limits=limits)).outcome is Outcome.timeout


def test_one_program_leaves_nothing_in_a_package_for_the_next(contest):
    spoils = "import numpy as np\nnp.arange = np.left = 1\nnp.random.seed(7)\ndef f(x): return x\n"
    contest.run(job(spoils))
    look = (
        "import numpy as np\ndef f(x):\n"
        "    return [hasattr(np, 'left'), callable(np.arange), float(np.random.rand())]\n"
    )
    first = contest.run(job(look)).error
    assert "[False, True, " in first
    contest.run(job(spoils))
    assert contest.run(job(look)).error == first


def test_a_plain_program_stays_in_the_plain_runner(contest):
    assert contest.run(job("def f(x): return x * (x - 1) // 2\n")).outcome is Outcome.passed
    plain, loaded = contest._warm.plain, contest._warm.for_program(PROGRAMS["numpy"])
    assert contest._warm.for_program("important = 'numpy'\n") is plain
    assert contest._warm.for_program("import math, numpy as np\n") is loaded
    assert contest._warm.for_program("from numpy.linalg import det\n") is loaded
    assert loaded is not plain


def test_a_missing_library_is_a_detail_of_the_outcome(sandbox):
    verdict = sandbox.run(job("import numbapy.linalg\ndef f(x): return x\n"))
    assert verdict.outcome is Outcome.runtime_error
    assert verdict.missing_library == "numbapy"
    caught = "try: import numbapy\nexcept ImportError: numbapy = None\ndef f(x): return x\n"
    assert sandbox.run(job(caught)).missing_library is None
    source = "import no_such_thing\nprint(1)\n"
    verdict = sandbox.run(job(source, fn_name=None, tests=(Test(input="", output="1"),)))
    assert verdict.missing_library == "no_such_thing"


@pytest.mark.parametrize("name", ["num py", "-r file", "https://example.org/x", "numpy>=2", ""])
def test_what_is_no_packages_name_is_refused(name):
    with pytest.raises(ValidationError, match=r"give its name on PyPI, or NAME==VERSION"):
        SandboxConfig(packages=(name,))


def test_one_package_needs_no_list():
    assert SandboxConfig.model_validate({"packages": "numpy"}) == SandboxConfig(packages=("numpy",))
    assert SandboxConfig(packages="contest").packages == "contest"


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        ("numpy,pandas", r"'numpy,pandas' is no package: .* as a list, \[numpy, sortedcontain"),
        ({"numpy": 1}, "must be a set .*, the name of a package, or a list of names"),
        ([1], "must be a set"),
        (["contest", "pandas"], "contest is a set and stands alone"),
    ],
)
def test_packages_that_cannot_be_are_refused(packages, message):
    with pytest.raises(ValidationError, match=message) as refused:
        SandboxConfig(packages=packages)
    assert len(refused.value.errors()) == 1


def test_the_image_is_named_by_its_packages():
    plain = image_name(SandboxConfig())
    named = {
        image_name(SandboxConfig(packages=packages))
        for packages in (("numpy",), ("numpy", "sympy"), ("numpy==2.5.5",), "contest")
    }
    assert len(named) == 4
    assert all(name.startswith(f"{plain}-") for name in named)
    assert image_name(SandboxConfig(packages=("sympy", "numpy", "sympy"))) in named
    assert image_name(SandboxConfig(packages="standard")) == plain


def test_a_package_that_the_interpreter_lacks_is_named_at_the_start():
    config = SandboxConfig(backend="process", packages=("numpy", "no-such-package"))
    with pytest.raises(SetupError, match=f"no-such-package: not installed for {sys.executable}"):
        Sandbox(config)


@pytest.mark.docker
def test_a_package_that_an_image_lacks_is_named_at_the_start():
    for backend in ("docker", "auto"):  # `auto` does not go on without isolation for that
        config = SandboxConfig(
            backend=backend, image=image_name(SandboxConfig()), packages=("numpy",)
        )
        with pytest.raises(SetupError, match=r"sandbox.packages: numpy: not in stepcoder-sandbox"):
            Sandbox(config)


def test_warm_runners_of_a_slot_are_few():
    with open_sandbox("process", packages="contest") as sandbox:
        modules = ("numpy", "sympy", "networkx", "sortedcontainers")
        runners = [sandbox._warm.for_program(f"import {module}\n") for module in modules]
        assert len(set(map(id, runners))) == len(modules)
        runners[-1].start()
        assert sandbox._warm.for_program("import sortedcontainers\n") is runners[-1]
        assert sandbox._warm.for_program("import numpy\n") is not runners[0]
        assert runners[-1].runner is not None
    assert runners[-1].runner is None
