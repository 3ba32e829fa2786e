"""The Slurm script, with `srun` and `scontrol` of this machine in the place of Slurm's."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from actors.cluster.placement import roles
from deploy.config import load_config
from tests.deploy.leftovers import Leftovers

SCRIPT = Path(__file__).resolve().parents[3] / "deploy" / "slurm" / "run.sh"
SLURM = {
    "scontrol": 'for node in $SLURM_JOB_NODELIST; do echo "$node"; done',
    # Everything that is no option of srun's is the command.
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "hostname": "echo 127.0.0.1",
}
RAY = """
echo "$$ $*" >>"$LOG/ray"
trap 'echo stopped >>"$LOG/stopped"; exit 0' TERM
while :; do sleep 0.05; done
"""
PYTHON = f"""
if [ "$1" = - ]; then grep -c . "$LOG/ray"; else exec {sys.executable} "$@"; fi
"""
STEPCODER = """
echo "$RAY_ADDRESS $RAY_AUTH_MODE ${#RAY_AUTH_TOKEN} $*" >>"$LOG/stepcoder"
exit "${STEPCODER_STATUS:-0}"
"""


@dataclass(frozen=True)
class Job:
    """A checkout in which the script is run."""

    checkout: Path
    log: Path

    def run(self, nodes: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        tools = self.checkout.parent / "slurm"
        settings = {
            "PATH": f"{tools}:{os.environ['PATH']}", "HOME": os.environ["HOME"],
            "LOG": str(self.log), "SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": nodes,
            "SLURM_SUBMIT_DIR": str(self.checkout), "SLURM_CPUS_PER_TASK": "2",
        }  # fmt: skip
        return subprocess.run(
            [SCRIPT, *arguments],
            env=settings | environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def rays(self) -> list[list[str]]:
        """The arguments of every `ray start`."""
        lines = (self.log / "ray").read_text().splitlines()
        return [line.split()[1:] for line in lines]


def executable(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path / "checkout", tmp_path / "log")
    for folder in (tmp_path / "slurm", made.log, made.checkout / ".venv" / "bin"):
        folder.mkdir(parents=True)
    for name, text in SLURM.items():
        executable(tmp_path / "slurm" / name, text)
    for name, text in (("ray", RAY), ("python", PYTHON), ("stepcoder", STEPCODER)):
        executable(made.checkout / ".venv" / "bin" / name, text)
    (made.checkout / "profile.yaml").write_text("name: x\n")
    return made


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck here: apt-get install shellcheck")
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nodes_get_their_roles_and_the_run_its_cluster(job: Job) -> None:
    done = job.run("a b c d", "profile.yaml", "--name", "first",
                   SLURM_GPUS_ON_NODE="8", SANDBOX_NODES="2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (ran,) = (job.log / "stepcoder").read_text().splitlines()
    address, mode, token, *arguments = ran.split()
    assert address.startswith("127.0.0.1:")
    assert (mode, token) == ("token", "64")
    assert arguments == ["train", "--config", "profile.yaml", "--name", "first"]
    rays = job.rays()
    assert len(rays) == 4
    heads = [ray for ray in rays if "--head" in ray]
    assert len(heads) == 1
    assert all(f"--address={address}" in ray for ray in rays if ray not in heads)
    models = [ray for ray in rays if "--num-gpus=8" in ray]
    programs = [ray for ray in rays if "--num-gpus=0" in ray]
    assert len(models) == len(programs) == 2
    assert heads[0] in models
    for ray in programs:
        assert "--num-cpus=0" in ray
        resources = " ".join(ray).partition("--resources=")[2]
        assert json.loads(resources) == {"sandbox": 4}
    agents = {a for ray in rays for a in ray if a.startswith("--dashboard-agent-listen-port")}
    assert len(agents) == 4


@pytest.mark.parametrize(
    ("named", "every", "address"),
    [
        ("fe80::1 10.1.2.3", "10.9.9.9", "10.1.2.3"),
        ("127.0.1.1", "10.1.2.3 172.17.0.1 fe80::1", "10.1.2.3"),
        ("127.0.1.1", "", "127.0.1.1"),
    ],
)
def test_the_head_is_reached_at_an_address_that_other_nodes_have(
    job: Job, named: str, every: str, address: str
) -> None:
    hostname = f'[ "$1" = --ip-address ] && echo "{named}" || echo "{every} "'
    executable(job.checkout.parent / "slurm" / "hostname", hostname)
    assert job.run("a", "profile.yaml").returncode == 0
    assert (job.log / "stepcoder").read_text().startswith(f"{address}:")


def test_everything_that_was_started_is_stopped_and_the_status_is_the_runs(job: Job) -> None:
    done = job.run("a b", "profile.yaml", STEPCODER_STATUS="3")
    assert done.returncode == 3
    assert (job.log / "stopped").read_text().count("stopped") == 2
    for line in (job.log / "ray").read_text().splitlines():
        with pytest.raises(ProcessLookupError):
            os.kill(int(line.split()[0]), 0)


def test_the_run_ends_in_order_before_the_time_limit(job: Job) -> None:
    """`--signal=B:` signals the script alone."""
    executable(job.checkout / ".venv" / "bin" / "stepcoder",
               'trap \'wc -l <"$LOG/ray" >"$LOG/ended"; exit 130\' TERM\n'
               'kill "$PPID"; while :; do sleep 0.05; done')  # fmt: skip
    done = job.run("a b", "profile.yaml")
    assert done.returncode == 130, "that of the run"
    assert (job.log / "ended").read_text().strip() == "2"
    assert (job.log / "stopped").read_text().count("stopped") == 2
    assert "#SBATCH --signal=B:TERM@" in SCRIPT.read_text()


def test_a_job_that_slurm_begins_again_goes_on(job: Job) -> None:
    assert job.run("a", "profile.yaml", SLURM_RESTART_COUNT="1").returncode == 0
    assert (job.log / "stepcoder").read_text().split()[3:] == [
        "train", "--config", "profile.yaml", "--resume", "--overwrite",
    ]  # fmt: skip


def test_one_node_does_everything(job: Job) -> None:
    assert job.run("a", "profile.yaml", "--resume", SLURM_RESTART_COUNT="1").returncode == 0
    ran = (job.log / "stepcoder").read_text()
    assert (ran.count("--resume"), ran.count("--overwrite")) == (1, 1)
    (ray,) = job.rays()
    assert "--head" in ray
    assert "--num-cpus=2" in ray
    assert any(argument.startswith("--resources") for argument in ray)


def test_a_node_that_does_not_join_ends_the_job_in_time(job: Job) -> None:
    executable(job.checkout / ".venv" / "bin" / "python",
               f'[ "$1" = - ] && echo 1 || exec {sys.executable} "$@"')  # fmt: skip
    started = time.monotonic()
    done = job.run("a b", "profile.yaml", START_TIMEOUT="3")
    assert done.returncode == 1
    assert "not all of 2 nodes joined" in done.stderr
    assert time.monotonic() - started < 60
    executable(job.checkout / ".venv" / "bin" / "ray", "exit 7")
    done = job.run("a b", "profile.yaml")
    assert "ray start ended on a node" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ((), {}, "usage: sbatch"),
        (("absent.yaml",), {}, "no such profile"),
        (("profile.yaml",), {"SLURM_JOB_ID": ""}, "submit it with sbatch"),
        (("profile.yaml",), {"SANDBOX_NODES": "2"}, "leaves none of the 2 nodes"),
        (("profile.yaml",), {"SANDBOX_NODES": "0"}, "at least 1"),
        (("profile.yaml",), {"SLURM_SUBMIT_DIR": "/"}, "run make install there"),
    ],
)
def test_mistakes_are_told_before_anything_is_started(
    job: Job, arguments: tuple[str, ...], environment: dict[str, str], message: str
) -> None:
    done = job.run("a b", *arguments, **environment)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (job.log / "ray").exists()


def test_the_documented_jobs_hold_their_profiles() -> None:
    root = SCRIPT.parents[2]
    page = (root / "docs" / "slurm.md").read_text()
    jobs = re.findall(
        r"SANDBOX_UNITS=(\d+) sbatch --nodes=(\d+) --gpus-per-node=(\d+) .*run.sh (\S+)", page
    )
    assert len(jobs) == 2
    for units, nodes, gpus, profile in jobs:
        config = load_config(root / profile, [])
        required = roles(config.placement, config.rollout, config.pool, gpu=True)
        wanted = sum(count * bundle.get("GPU", 0) for _, count, bundle in required)
        assert (int(nodes) - 1) * int(gpus) >= wanted, "one node is for programs"
        assert int(units) >= config.pool.workers


@pytest.mark.integration
def test_real_nodes_join_with_their_resources_and_leave(job: Job) -> None:
    leftovers = Leftovers()
    bin_folder = job.checkout / ".venv" / "bin"
    look = job.checkout / "look.py"
    look.write_text(
        "import json, ray\n"
        "ray.init(logging_level='ERROR')\n"
        "alive = [n['Resources'] for n in ray.nodes() if n['Alive']]\n"
        "kinds = ('CPU', 'GPU', 'sandbox')\n"
        "print(json.dumps([{k: r[k] for k in kinds if k in r} for r in alive]))\n"
    )
    executable(bin_folder / "ray", f'exec {Path(sys.executable).with_name("ray")} "$@"')
    executable(bin_folder / "python", f'exec {sys.executable} "$@"')
    executable(bin_folder / "stepcoder", f"exec {sys.executable} {shlex.quote(str(look))}")
    done = job.run("a b", "profile.yaml", SANDBOX_UNITS="3", **leftovers.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    resources = json.loads(done.stdout.splitlines()[-1])
    assert {"CPU": 2.0} in resources
    assert {"sandbox": 3.0} in resources
    assert len(resources) == 2
    assert leftovers.left() == []
