"""A corpus of programs under the sandbox and under `python3 program.py` in the same image."""

import json
import os
import re
from typing import NamedTuple

import pytest

from curriculum.problem import Test
from sandbox import Job, Limits
from sandbox.backends.docker import DockerBackend
from sandbox.inputs import encode_inputs, encode_job
from sandbox.judging.records import parse_end, parse_error, parse_record
from tests.sandbox.interpreter_corpus import CORPUS

pytestmark = pytest.mark.docker

DRIVER = """\
import json, os, subprocess
results, environment = {}, dict(os.environ)
del environment["LC_CTYPE"]  # this interpreter has set it
for name, (source, stdin) in json.load(open("/corpus/programs.json")).items():
    with open("/program.py", "w", encoding="utf-8") as file: file.write(source)
    with open("/input", "wb") as file: file.write(stdin.encode("utf-8", "surrogatepass"))
    with open("/input", "rb") as stdin, open("/output", "wb") as stdout:
        ended = subprocess.run(["python3", "program.py"], cwd="/", stdin=stdin, stdout=stdout,
                               stderr=subprocess.PIPE, timeout=60, env=environment)
    with open("/output", "rb") as file: printed = file.read().decode("utf-8", "replace")
    results[name] = [ended.returncode, printed, ended.stderr.decode("utf-8", "replace")]
print(json.dumps(results))
"""
_ERROR_TYPE = re.compile(r"(?m)^(?:  [|] )?([A-Za-z_][\w.]*)(?::|$)")


class Ending(NamedTuple):
    """What a shell sees of a program, and the type of the error that it prints."""

    status: int
    """The exit code, or minus the signal."""
    printed: str
    error: str | None


@pytest.fixture(scope="module")
def native(docker_sandbox, tmp_path_factory) -> dict[str, Ending]:
    """Every program of the corpus under a fresh interpreter of the image."""
    folder = tmp_path_factory.mktemp("corpus")
    folder.chmod(0o755)
    (folder / "programs.json").write_text(json.dumps(CORPUS))
    backend = docker_sandbox._backend
    assert isinstance(backend, DockerBackend)
    output = backend.client.containers.run(
        backend.image,
        ["python3", "-c", DRIVER],
        volumes={str(folder): {"bind": "/corpus", "mode": "ro"}},
        network_mode="none",
        remove=True,
    )
    return {
        name: Ending(status, printed, _printed_error(stderr) if status == 1 else None)
        for name, (status, printed, stderr) in json.loads(output).items()
    }


def _printed_error(stderr: str) -> str | None:
    """The type that the last traceback of a program names."""
    if "Traceback (most recent call last)" not in stderr and "SyntaxError" not in stderr:
        return None
    types = _ERROR_TYPE.findall(stderr)
    return types[-1].rpartition(".")[2] if types else None


def sandboxed(sandbox, source: str, stdin: str) -> Ending:
    """The same of a program in the sandbox, from the records of its run."""
    job = Job(
        id="d",
        source=source,
        fn_name=None,
        tests=(Test(input=stdin, output=""),),
        limits=Limits(wall_seconds=60, cpu_seconds=60, output_kib=4096),
    )
    warm = sandbox._warm.for_program(source)
    reply = sandbox._exchange(warm, encode_job(job, encode_inputs(job)), job.limits, coverage=True)
    error = None
    for line in reply.records.split(b"\n")[:-1]:
        kind, _, content = parse_record(line)
        if kind == b"c":
            return Ending(1, "", parse_error(content).type_name)
        if kind == b"e":
            error = parse_error(content).type_name
        if kind == b"o":
            end = parse_end(content)
            status = os.waitstatus_to_exitcode(end.status)
            return Ending(status, end.printed, error if status == 1 else None)
    raise AssertionError(f"no end recorded: {reply}")


@pytest.mark.parametrize("name", CORPUS)
def test_a_program_ends_as_under_its_own_interpreter(docker_sandbox, native, name):
    source, stdin = CORPUS[name]
    expected, actual = native[name], sandboxed(docker_sandbox, source, stdin)
    if expected.error is None:  # nothing is printed of a SystemExit, or with a hook for errors
        assert actual.error in (None, "SystemExit") or "excepthook" in source
        actual = actual._replace(error=None)
    assert actual == expected
