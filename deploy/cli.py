"""The command line: `stepcoder ...`, the same as `python -m deploy ...`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.commands.command import Command, add_command, no_more
from deploy.commands.data import add_data_command
from deploy.commands.learner import add_learner_command
from deploy.commands.sft import add_sft_command
from deploy.config import ConfigError, RunConfig, load_config

EXAMPLES = """\
examples:
  stepcoder train --config deploy/profiles/local.yaml
  stepcoder train --config deploy/profiles/local.yaml --name hot --rollout.temperature 1.2
  stepcoder train --config deploy/profiles/local.yaml --name smoke --resume --loop.steps 90
  stepcoder config --config deploy/profiles/local.yaml --learner.mask none
  stepcoder sandbox run program.py --tests tests.json --fn solve
  stepcoder sft problems.jsonl -o models/warm
  stepcoder data stats problems.jsonl   and convert, show, synth, verify
  stepcoder local-cluster up            the smoke run on a cluster of one (make local-cluster)
  ray job submit -- python -m deploy train --config deploy/profiles/local.yaml

Every key that `stepcoder config` prints can be overridden as --section.key VALUE.
"""

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM, as shells have it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    options, words = _parser().parse_known_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return options.command(options, words)
    except ConfigError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted; what this command started is stopped", INTERRUPTED)
    except _expected_failures() as error:
        return _fail(str(error), 1)


def _interrupt(*_: object) -> None:
    """`ray job stop` sends SIGTERM: end as on Ctrl-C, through every `finally`."""
    # Ray blocks SIGINT in all that it starts, and a shell has its background commands ignore it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def _expected_failures() -> tuple[type[BaseException], ...]:
    """What is no bug of ours: said in one message, without a stack trace."""
    from actors.errors import RunFailed
    from curriculum.errors import CurriculumError
    from deploy.cluster.local import ClusterError
    from learner.errors import LearnerError
    from sandbox import SandboxError

    return (
        RunFailed,
        ClusterError,
        SandboxError,
        CurriculumError,
        LearnerError,
        TimeoutError,
        ConnectionError,
    )


def _fail(message: str, status: int) -> int:
    print(f"stepcoder: {message}", file=sys.stderr, flush=True)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stepcoder",
        description="Reinforcement learning for code models from compiler and unit-test feedback.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    train = _command(commands, "train", _train, "train a policy: warm start, RL, evaluation")
    _config_options(train)
    train.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    train.add_argument("--overwrite", action="store_true", help="replace a run of the same name")

    config = _command(commands, "config", _config, "print the resolved configuration")
    _config_options(config)

    result = _command(commands, "result", _result, "print the result table of a finished run")
    result.add_argument("folder", type=Path, help="the run's folder, such as runs/smoke")

    _sandbox_commands(commands)
    add_data_command(commands)
    add_sft_command(commands)
    add_learner_command(commands)

    fleet = commands.add_parser("fleet", help="measure what the orchestration costs")
    actions = fleet.add_subparsers(title="actions", metavar="ACTION", required=True)
    bench = _command(actions, "bench", _fleet_bench, "measure the fleet: one table, one file")
    bench.add_argument("--rounds", type=int, default=5, help="turns of each comparison (5)")
    bench.add_argument("--workers", default="1,2,4,8", help="fleet sizes (1,2,4,8)")
    bench.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder (runs/bench)")

    chaos = _command(commands, "chaos", _chaos, "a run on simulated nodes while things are killed")
    _config_options(chaos)
    chaos.add_argument("--every", type=float, default=10, metavar="S", help="seconds per kill (10)")
    chaos.add_argument("--seed", type=int, default=1, help="what is killed, and when (1)")
    chaos.add_argument("--kinds", metavar="A,B", help="what may be killed (everything)")
    chaos.add_argument("--kills", type=int, metavar="N", help="kills until peace (no end)")
    chaos.add_argument("--reference", type=Path, help="folder of a finished undisturbed run")
    chaos.add_argument("--limit", type=float, default=3600, help="longest run in seconds (3600)")

    cluster = commands.add_parser(
        "local-cluster", help="a Ray cluster of one machine, and the smoke run on it"
    )
    actions = cluster.add_subparsers(title="actions", metavar="ACTION", required=True)
    up = _command(actions, "up", _cluster_up, "start the cluster, submit the run, follow it")
    _config_options(up)
    up.add_argument("--fresh", action="store_true", help="run again even if the run has finished")
    up.add_argument("--port", type=int, default=6379, help="port of the cluster (6379)")
    up.add_argument("--dashboard-port", type=int, default=8265, help="its dashboard (8265)")
    up.add_argument("--metrics-port", type=int, default=8080, help="its Prometheus endpoint (8080)")
    _command(actions, "down", _cluster_down, "stop exactly what `up` started")
    _command(actions, "status", _cluster_status, "say what runs and where to look")
    return parser


def _sandbox_commands(commands: Any) -> None:
    sandbox = commands.add_parser("sandbox", help="run one program, or measure the sandbox")
    actions = sandbox.add_subparsers(title="actions", metavar="ACTION", required=True)
    run = _command(actions, "run", _sandbox_run, "run a program on its tests, tell what happened")
    run.add_argument("program", type=Path, help="the program, a file of Python")
    run.add_argument("--tests", type=Path, required=True, metavar="P", help="its tests, in JSON")
    run.add_argument("--fn", metavar="NAME", help="function to call (none: stdin to stdout)")
    run.add_argument("--json", action="store_true", help="print the verdict as JSON")
    run.add_argument("--backend", default="auto", help="auto, docker or process (auto)")
    run.add_argument("--seconds", type=float, help="time limit over all tests (10)")
    bench = _command(actions, "bench", _sandbox_bench, "measure the sandbox: one table, one file")
    bench.add_argument("--rounds", type=int, default=7, help="turns of each comparison (7)")
    bench.add_argument(
        "--soak",
        type=int,
        metavar="N",
        help="only run N programs in a row while containers are killed, to sandbox-soak.json",
    )
    bench.add_argument(
        "--quick",
        action="store_true",
        help="2 rounds and 500 programs in a row, to sandbox-quick.json: a look, not the record",
    )
    bench.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder (runs/bench)")


def _command(commands: Any, name: str, run: Command, summary: str) -> argparse.ArgumentParser:
    return add_command(commands, name, run, summary, EXAMPLES)


def _config_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="P", help="a profile in YAML")
    parser.add_argument("--name", help="name of the run and of its folder")


def _resolve(options: argparse.Namespace, words: Sequence[str]) -> RunConfig:
    named = ["--name", options.name] if options.name else []
    return load_config(options.config, [*named, *words])


def _train(options: argparse.Namespace, words: Sequence[str]) -> int:
    config = _resolve(options, words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    from deploy.report.result_table import print_result
    from deploy.train import train

    result = train(config, resume=options.resume, overwrite=options.overwrite)
    print_result(result, config.runs_dir / config.name)
    return 0


def _config(options: argparse.Namespace, words: Sequence[str]) -> int:
    print(_resolve(options, words).to_yaml(), end="")
    return 0


def _result(options: argparse.Namespace, words: Sequence[str]) -> int:
    no_more(words)
    from deploy.report.result_table import print_result, read_result

    try:
        result = read_result(options.folder)
    except FileNotFoundError:
        raise ConfigError(f"{options.folder}: no finished run there (no result.json)") from None
    print_result(result, options.folder)
    return 0


def _fleet_bench(options: argparse.Namespace, words: Sequence[str]) -> int:
    no_more(words)
    os.environ["RAY_AUTH_MODE"] = "token"
    from deploy.bench.fleet import measure
    from deploy.bench.record import run_benchmark

    sizes = [int(size) for size in options.workers.split(",")]
    say = lambda what: print(f"{what} ...", file=sys.stderr, flush=True)  # noqa: E731
    return run_benchmark("fleet", measure(options.rounds, sizes, say), options.out)


def _chaos(options: argparse.Namespace, words: Sequence[str]) -> int:
    config = _resolve(options, words)
    os.environ["RAY_AUTH_MODE"] = "token"
    from deploy.chaos.monkey import KINDS, Plan
    from deploy.chaos.run import chaos
    from deploy.report.chaos_table import print_comparison

    kinds = options.kinds.split(",") if options.kinds else KINDS
    plan = Plan(options.every, kinds, options.seed, options.kills)
    comparison = chaos(config, plan, options.limit, options.reference)
    print_comparison(comparison)
    return 0 if comparison.passed else 1


def _sandbox_run(options: argparse.Namespace, words: Sequence[str]) -> int:
    no_more(words)
    from deploy.commands.sandbox import limits_config, run_program

    config = limits_config(options.backend, options.seconds)
    return run_program(
        options.program, options.tests, fn_name=options.fn, as_json=options.json, config=config
    )


def _sandbox_bench(options: argparse.Namespace, words: Sequence[str]) -> int:
    no_more(words)
    from deploy.commands.sandbox import run_bench

    if options.rounds < 1 or (options.soak is not None and options.soak < 10):
        raise ConfigError("--rounds must be at least 1 and --soak at least 10")
    return run_bench(options.rounds, options.soak, options.quick, options.out)


def _cluster_up(options: argparse.Namespace, words: Sequence[str]) -> int:
    os.environ["RAY_AUTH_MODE"] = "token"  # Ray's client reads it once, when it is imported
    from deploy.cluster.local import Ports
    from deploy.commands.local_cluster import up

    config = _resolve(options, words)
    ports = Ports(options.port, options.dashboard_port, options.metrics_port)
    return up(config, options.config, words, ports, fresh=options.fresh)


def _cluster_down(options: argparse.Namespace, words: Sequence[str]) -> int:
    no_more(words)
    os.environ["RAY_AUTH_MODE"] = "token"
    from deploy.commands.local_cluster import down

    return down()


def _cluster_status(options: argparse.Namespace, words: Sequence[str]) -> int:
    no_more(words)
    from deploy.commands.local_cluster import status

    return status()
