"""`stepcoder data`: convert, count, look at, make and verify data sets; the benchmark."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from actors.errors import RunFailed
from curriculum.datasets.problem_file import write_problems
from curriculum.datasets.registry import FORMATS, Skipped, detect, read_source
from curriculum.errors import BadRecord
from curriculum.problem import TIERS, Problem
from curriculum.start_points import START_POINT_KINDS
from deploy.commands.command import Command, add_command, no_more
from deploy.config import ConfigError

EXAMPLES = """\
examples:
  stepcoder data synth -o problems.jsonl --per-tier 100
  stepcoder data convert mbpp.jsonl -o problems.jsonl --skip-bad
  stepcoder data convert APPS -o interview.jsonl --split train --tiers interview,competition
  stepcoder data stats problems.jsonl --plot problems.png
  stepcoder data show problems.jsonl mbpp/1
  stepcoder data verify problems.jsonl -o kept.jsonl --report report.json
  stepcoder data bench
"""


def add_data_command(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    """Add `data` and its actions to the command line's parser."""
    data = commands.add_parser("data", help="convert, count, show, make and verify data sets")
    actions = data.add_subparsers(title="actions", metavar="ACTION", required=True)

    convert = _action(
        actions, "convert", _convert, "read a data set of any format, write our JSONL"
    )
    _source_options(convert)
    _output_option(convert)

    stats = _action(actions, "stats", _stats, "count tiers, lengths, start points and stages")
    _source_options(stats)
    _kinds_option(stats)
    stats.add_argument("--plot", type=Path, metavar="P", help="picture to draw (.png, .svg, .pdf)")

    show = _action(actions, "show", _show, "print one problem with its cut points")
    _source_options(show)
    show.add_argument("id", help="the problem's id, as `convert` writes it")
    _kinds_option(show)

    synth = _action(actions, "synth", _synth, "write problems of the bundled generator")
    _output_option(synth)
    synth.add_argument("--per-tier", type=int, default=100, help="problems of each tier (100)")
    synth.add_argument("--seed", type=int, default=1, help="decides every problem (1)")

    verify = _action(
        actions, "verify", _verify, "keep the problems whose solutions pass their tests"
    )
    _source_options(verify)
    _output_option(verify)
    verify.add_argument("--report", type=Path, help="where the report goes, as JSON")
    verify.add_argument("--runs", type=int, default=3, help="runs of each solution (3)")
    verify.add_argument("--slots", type=int, help="sandboxes at a time (one per processor)")
    verify.add_argument(
        "--backend", choices=["auto", "docker", "process"], default="auto", help="sandbox (auto)"
    )
    verify.add_argument("--wall-seconds", type=float, default=10.0, help="limit of one run (10)")

    bench = _action(actions, "bench", _bench, "measure the curriculum: one table, one file")
    bench.add_argument(
        "--problems", type=int, default=100_000, help="in the file that is streamed (100000)"
    )
    bench.add_argument(
        "--observations", type=int, default=1_000_000, help="with each schedule (1000000)"
    )
    bench.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder (runs/bench)")


def _action(actions, name: str, function: Command, help: str) -> argparse.ArgumentParser:
    return add_command(actions, name, _refusing_leftovers(function), help, EXAMPLES)


def _refusing_leftovers(function: Command) -> Command:
    def command(options: argparse.Namespace, words: Sequence[str]) -> int:
        no_more(words)
        try:
            return function(options, words)
        except OSError as error:
            raise ConfigError(f"{error.filename or 'file'}: {error.strerror or error}") from None
        except BadRecord as error:
            if options.skip_bad:
                raise
            raise RunFailed(f"{error}\n  --skip-bad leaves such records out, counted") from None

    return command


def _source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a file, or a folder of APPS")
    parser.add_argument("--format", choices=FORMATS, help="how it is laid out (detected)")
    parser.add_argument("--split", choices=["train", "test"], help="split of an APPS folder (both)")
    parser.add_argument("--tiers", help=f"which to keep, such as {','.join(TIERS[:2])} (all)")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave bad records out and count them by field"
    )


def _output_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, help="the JSONL to write")


def _kinds_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kinds", default=",".join(START_POINT_KINDS), help="statements that are start points"
    )


def problems_of(options: argparse.Namespace, skipped: Skipped) -> Iterator[Problem]:
    """The problems that the source options name; `skipped` counts where `--skip-bad` is given.

    Raises:
        ConfigError: an unknown tier, or a split where there is none.
    """
    tiers = _choices(options.tiers, TIERS, "--tiers")
    format = FORMATS[options.format] if options.format else detect(options.source)
    if options.split and format.read_split is None:
        raise ConfigError(
            f"--split: {options.source} is read as {format.name}, which has no splits"
        )
    return read_source(
        options.source,
        format,
        split=options.split,
        tiers=[tier for tier in TIERS if tier in tiers],
        skipped=skipped if options.skip_bad else None,
    )


def _choices(text: str | None, known: Sequence[str], option: str) -> list[str]:
    chosen = text.split(",") if text else []
    for name in chosen:
        if name not in known:
            raise ConfigError(f"{option}: {name!r} is none of {', '.join(known)}")
    return chosen


def tell_skipped(skipped: Skipped) -> None:
    """Say on stderr what was left out, by field, with an example of each."""
    for name, number in sorted(skipped.counts.items()):
        example = skipped.examples[name][0]
        print(f"left out {number} for {name}, such as {example}", file=sys.stderr)


def _write(options: argparse.Namespace, problems: Iterator[Problem]) -> None:
    written = 0

    def counted() -> Iterator[Problem]:
        nonlocal written
        for problem in problems:
            yield problem
            written += 1
        if not written:
            raise ConfigError(f"no problem is left to write; {options.output} is as it was")

    write_problems(options.output, counted())
    print(f"{options.output}: {written} problems")


def _convert(options: argparse.Namespace, _: Sequence[str]) -> int:
    skipped = Skipped()
    try:
        _write(options, problems_of(options, skipped))
    finally:
        tell_skipped(skipped)
    return 0


def _synth(options: argparse.Namespace, _: Sequence[str]) -> int:
    from curriculum.synthetic.problems import synthetic_problems

    if options.per_tier < 1:
        raise ConfigError(f"--per-tier: {options.per_tier} problems cannot be made")
    _write(options, iter(synthetic_problems(options.seed, options.per_tier)))
    return 0


def _stats(options: argparse.Namespace, _: Sequence[str]) -> int:
    from curriculum.datasets.statistics import count
    from deploy.report.data_tables import print_statistics

    kinds = frozenset(_choices(options.kinds, START_POINT_KINDS, "--kinds"))
    skipped = Skipped()
    counts = count(problems_of(options, skipped), kinds)
    tell_skipped(skipped)
    print_statistics(counts, options.source)
    if options.plot:
        from deploy.report.data_plot import plot_statistics

        plot_statistics(counts, options.source, options.plot)
        print(f"{options.plot}: drawn")
    return 0


def _show(options: argparse.Namespace, _: Sequence[str]) -> int:
    from deploy.report.data_tables import print_problem

    kinds = frozenset(_choices(options.kinds, START_POINT_KINDS, "--kinds"))
    for problem in problems_of(options, Skipped()):
        if problem.id == options.id:
            print_problem(problem, kinds)
            return 0
    raise ConfigError(f"{options.source}: no problem {options.id!r} in it")


def _bench(options: argparse.Namespace, _: Sequence[str]) -> int:
    from deploy.bench.curriculum import MIN_PROBLEMS, measure
    from deploy.bench.record import run_benchmark

    if options.problems < MIN_PROBLEMS or options.observations < 1:
        raise ConfigError(f"--problems must be at least {MIN_PROBLEMS}, --observations 1")
    figures = measure(options.problems, options.observations, options.out / "cache")
    return run_benchmark("curriculum", figures, options.out)


def _verify(options: argparse.Namespace, _: Sequence[str]) -> int:
    from deploy.report.data_tables import print_report
    from deploy.verify.report import sandbox_failed
    from deploy.verify.run import verify_data_set
    from sandbox import Limits, SandboxConfig

    if options.runs < 1 or (options.slots is not None and options.slots < 1):
        raise ConfigError("--runs and --slots must be at least 1")
    if not 0 < options.wall_seconds <= 3600:
        raise ConfigError(f"--wall-seconds: {options.wall_seconds} is not within 0 and 3600")
    wall_s = options.wall_seconds
    limits = Limits(wall_seconds=wall_s, cpu_seconds=max(1, int(wall_s)))
    skipped = Skipped()
    if not sum(1 for _ in problems_of(options, skipped)):
        raise ConfigError(f"{options.source}: no problem in it")
    tell_skipped(skipped)
    report = verify_data_set(
        lambda: problems_of(options, Skipped()),
        options.output,
        options.report,
        skipped,
        config=SandboxConfig(backend=options.backend, limits=limits, coverage=False),
        slots=options.slots or os.cpu_count() or 1,
        runs=options.runs,
    )
    print_report(report, options.output)
    return 1 if sandbox_failed(report) else 0
