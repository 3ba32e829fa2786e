"""Baselines of the sandbox's benchmark: other ways to run the same programs.

None of them is used for verdicts.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import sandbox
from curriculum.problem import Comparison
from sandbox.errors import SandboxError
from sandbox.job import Job
from sandbox.judging.comparison import same_text, same_value

DRIVER = """\
import io, json, sys
def run(source, fn_name, inputs):
    code = compile(source, "program", "exec")
    if fn_name is None:
        outputs, original = [], (sys.stdin, sys.stdout)
        for text in inputs:
            sys.stdin, sys.stdout = io.StringIO(text), io.StringIO()
            try:
                exec(code, {"__name__": "__main__"})
                outputs.append(sys.stdout.getvalue())
            finally:
                sys.stdin, sys.stdout = original
        return outputs
    space = {"__name__": "solution"}
    exec(code, space)
    if fn_name in space:
        return [space[fn_name](*args, **kwargs) for args, kwargs in inputs]
    return [getattr(space["Solution"](), fn_name)(*args, **kwargs) for args, kwargs in inputs]
"""
ONCE = DRIVER + "print(json.dumps(run(*json.load(sys.stdin))))\n"
LOOP = (
    DRIVER
    + """\
import time
sys.path.insert(0, "/judge")
from sandbox.judging.comparison import same_text, same_value
def judged(text, expected, comparison):
    source, fn_name, inputs = json.loads(text)
    same = same_text if fn_name is None else same_value
    outputs = run(source, fn_name, inputs)
    return all(same(*pair, comparison) for pair in zip(expected, outputs, strict=True))
jobs = [json.loads(line) for line in sys.stdin]
spent = []
for _ in range(ROUNDS + 1):
    began = time.perf_counter()
    for text, expected, comparison in jobs:
        if not judged(text, expected, comparison): sys.exit(text)
    spent.append(time.perf_counter() - began)
print(len(jobs) * ROUNDS / sum(spent[1:]))
"""
)
ROUNDS = 3
DEADLINE_S = 120
PACKAGE = Path(sandbox.__file__).resolve().parent
COMPARISON_FILES = ("judging", "runner")
"""The files of this package that compare outputs, mounted for the in-process baseline."""


class Baselines:
    """A warm bare container and the command of each baseline; a context, which removes it again.

    Raises:
        SandboxError: on entry, where there is no docker command line to measure.
    """

    def __init__(self, image: str):
        self.image = image
        self.container = f"stepcoder-bench-{secrets.token_hex(4)}"

    def __enter__(self) -> Baselines:
        if shutil.which("docker") is None:
            raise SandboxError("no docker command line to measure against: install docker.io")
        mounts = [
            f"--volume={PACKAGE / name}:/judge/sandbox/{name}:ro" for name in COMPARISON_FILES
        ]
        _call(["docker", "run", "-d", "--rm", "--network", "none", "--name", self.container,
               *mounts, self.image, "python3", "-c", "import time; time.sleep(3600)"])  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        _call(["docker", "rm", "-f", self.container])

    def docker_run(self, jobs: Sequence[Job]) -> float:
        """Programs per second, with a new container for each."""
        return _rate(["docker", "run", "-i", "--rm", "--network", "none", self.image,
                      "python3", "-I", "-c", ONCE], jobs)  # fmt: skip

    def docker_exec(self, jobs: Sequence[Job]) -> float:
        """Programs per second, with a new process each in one warm container."""
        return _rate(["docker", "exec", "-i", self.container, "python3", "-I", "-c", ONCE], jobs)

    def subprocess(self, jobs: Sequence[Job]) -> float:
        """Programs per second, with a fresh `python -I` of this machine each."""
        return _rate([getattr(sys, "_base_executable", sys.executable), "-I", "-c", ONCE], jobs)

    def in_process(self, jobs: Sequence[Job]) -> float:
        """Programs per second with no isolation at all: one warm interpreter in a container.

        It decodes the same inputs, compiles and runs the same programs, and compares the outputs
        with the same code, all in one process.
        """
        command = ["docker", "exec", "-i", self.container, "python3", "-I", "-c"]
        lines = [
            json.dumps([_text(job), [test.output for test in job.tests], _comparison(job)])
            for job in jobs
        ]
        return float(_call([*command, f"ROUNDS = {ROUNDS}\n{LOOP}"], "\n".join(lines)))


def _rate(command: list[str], jobs: Sequence[Job]) -> float:
    began = time.perf_counter()
    for job in jobs:
        outputs = json.loads(_call(command, _text(job)))
        same = same_text if job.fn_name is None else same_value
        for test, output in zip(job.tests, outputs, strict=True):
            if not same(test.output, output, _comparison(job)):
                raise AssertionError(f"{job.id}: {output!r} is not {test.output!r}")
    return len(jobs) / (time.perf_counter() - began)


def _comparison(job: Job) -> Comparison:
    """The job's own, unless it counts types: the rivals' outputs are JSON, which has no tuples."""
    return "close" if job.comparison == "exact" else job.comparison


def _text(job: Job) -> str:
    inputs = [
        test.input if job.fn_name is None else [test.input, test.kwargs] for test in job.tests
    ]
    return json.dumps([job.source, job.fn_name, inputs])


def _call(command: list[str], stdin: str = "") -> str:
    ended = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    if ended.returncode:
        raise SandboxError(f"{' '.join(command[:2])} failed: {ended.stderr.strip()[-500:]}")
    return ended.stdout
