"""What a program that imports numpy costs beside a plain one that does the same."""

from __future__ import annotations

import time
from collections.abc import Sequence

from curriculum.problem import Test
from deploy.bench.record import Figure, ratio
from deploy.progress import StageProgress
from sandbox import Job, Outcome, Sandbox, SandboxConfig, SandboxError

NUMPY_VS_PLAIN = 2.0
"""Target: at most so many times the time of the plain programs."""
PROGRAMS_PER_TURN = 100
PAIRS = (
    (
        "def f(x):\n    return sorted(x)\n",
        "import numpy as np\ndef f(x):\n    return np.sort(x)\n",
    ),
    (
        "def f(x):\n    return [a + b for a, b in zip(x, x[1:])]\n",
        "import numpy as np\ndef f(x):\n    a = np.array(x)\n    return a[1:] + a[:-1]\n",
    ),
    (
        "def f(x):\n    best = 0\n    for n in x:\n        best = max(best, n)\n    return best\n",
        "from numpy import array\ndef f(x):\n    return array(x).max()\n",
    ),
    (
        "from itertools import accumulate\ndef f(x):\n    return list(accumulate(x))\n",
        "import numpy\ndef f(x):\n    return numpy.cumsum(x).tolist()\n",
    ),
)
"""Plain programs and, with the same results, programs that import numpy."""
INPUTS = ([3, 1, 2], list(range(50)), [7] * 20, [5, 9, 2, 2, 8, 4])


def numpy_cost(rounds: int, progress: StageProgress) -> Figure:
    """The time of programs that import numpy over that of plain ones, in one slot."""
    progress.begin("programs that import numpy", rounds)
    config = SandboxConfig(backend="docker", packages=("numpy",))
    jobs = [[_job(pair[i], pair[0]) for pair in PAIRS] for i in (0, 1)]
    samples: list[float] = []
    with Sandbox(config, slot=0, run="bench") as sandbox:
        for kind in jobs:
            _seconds(sandbox, kind)
        for _ in range(rounds):
            # Plain before and after, so that a load that comes and goes falls on both.
            before, loaded, after = (_seconds(sandbox, jobs[kind]) for kind in (0, 1, 0))
            samples.append(2 * loaded / (before + after))
            progress.step()
    against = "plain programs with the same results"
    return ratio("numpy_vs_plain", samples, against, NUMPY_VS_PLAIN, 1.3, lower=True)


def _job(source: str, plain: str) -> Job:
    namespace: dict[str, object] = {}
    exec(plain, namespace)
    function = namespace["f"]
    assert callable(function)
    tests = tuple(Test(input=[given], output=function(given)) for given in INPUTS)
    return Job(id="numpy", source=source, fn_name="f", tests=tests)


def _seconds(sandbox: Sandbox, jobs: Sequence[Job]) -> float:
    began = time.perf_counter()
    for number in range(PROGRAMS_PER_TURN):
        verdict = sandbox.run(jobs[number % len(jobs)])
        if verdict.outcome is not Outcome.passed:
            raise SandboxError(f"a benchmark program did not pass: {verdict.error}")
    return time.perf_counter() - began
