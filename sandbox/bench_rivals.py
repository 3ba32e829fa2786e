"""Other ways to run the same programs, to measure against; none of them is used for verdicts."""

import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from sandbox.comparison import same_value
from sandbox.errors import SandboxError
from sandbox.job import Job

DRIVER = """\
import json, sys
def run(job):
    space = {"__name__": "solution"}
    exec(compile(job["source"], "program", "exec"), space)
    call = space["f"] if "f" in space else space["Solution"]().f
    return [call(*given) for given in job["inputs"]]
"""
ONCE = DRIVER + "print(json.dumps(run(json.load(sys.stdin))))\n"
LOOP = (
    DRIVER
    + """\
import time
texts = sys.stdin.read().splitlines()
for text in texts: run(json.loads(text))
rounds, began = 5, time.perf_counter()
for _ in range(rounds):
    for text in texts: json.dumps(run(json.loads(text)))
print(rounds * len(texts) / (time.perf_counter() - began))
"""
)
DEADLINE_S = 120


class Rivals:
    """A warm bare container and the commands of each rival; a context, which removes it again.

    Raises SandboxError on entry where there is no docker command line to measure.
    """

    def __init__(self, image: str):
        self.image = image
        self.container = f"stepcoder-bench-{secrets.token_hex(4)}"

    def __enter__(self) -> "Rivals":
        if shutil.which("docker") is None:
            raise SandboxError("no docker command line to measure against: install docker.io")
        _call(["docker", "run", "-d", "--rm", "--network", "none", "--name", self.container,
               self.image, "python3", "-c", "import time; time.sleep(3600)"])  # fmt: skip
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
        """Programs per second with no isolation at all: one warm interpreter in a container."""
        command = ["docker", "exec", "-i", self.container, "python3", "-I", "-c", LOOP]
        return float(_call(command, "\n".join(map(_text, jobs))))


def _rate(command: list[str], jobs: Sequence[Job]) -> float:
    began = time.perf_counter()
    for job in jobs:
        outputs = json.loads(_call(command, _text(job)))
        for test, output in zip(job.tests, outputs, strict=True):
            if not same_value(test.output, output):
                raise AssertionError(f"{job.id}: {output!r} is not {test.output!r}")
    return len(jobs) / (time.perf_counter() - began)


def _text(job: Job) -> str:
    return json.dumps({"source": job.source, "inputs": [test.input for test in job.tests]})


def _call(command: list[str], given: str = "") -> str:
    ended = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    if ended.returncode:
        raise SandboxError(f"{' '.join(command[:2])} failed: {ended.stderr.strip()[-500:]}")
    return ended.stdout
