"""`stepcoder learner bench`: our update against TRL's and against one with full logits."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from actors.errors import RunFailed
from deploy.bench.record import run_benchmark
from deploy.commands.command import add_command, no_more
from deploy.config import ConfigError

EXAMPLES = """\
examples:
  make bench-learner                          installs TRL first
  stepcoder learner bench --rounds 5
"""


def add_learner_command(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    """Add `learner` and its actions to the command line's parser."""
    learner = commands.add_parser("learner", help="measure the learner")
    actions = learner.add_subparsers(title="actions", metavar="ACTION", required=True)
    summary = "our update against TRL's and against full logits: one table, one file"
    bench = add_command(actions, "bench", _bench, summary, EXAMPLES)
    bench.add_argument("--rounds", type=int, default=5, help="turns of each comparison (5)")
    bench.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder (runs/bench)")


def _bench(options: argparse.Namespace, words: Sequence[str]) -> int:
    """Returns 0 if every figure reached its target, else 1."""
    no_more(words)
    if options.rounds < 1:
        raise ConfigError("--rounds must be at least 1")
    from deploy.bench.learner import measure

    try:
        return run_benchmark("learner", measure(options.rounds), options.out)
    except RuntimeError as error:
        raise RunFailed(f"learner bench: {error}") from error
