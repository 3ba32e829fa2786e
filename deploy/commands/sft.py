"""`stepcoder sft`: a policy that answers in the language of a data set's solutions."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.errors import RunFailed
from actors.training.console import clock
from curriculum.datasets.registry import FORMATS, Skipped, read_source
from curriculum.problem import Problem
from curriculum.prompt import prompt_text
from curriculum.subtask import FULL_TASK, cut
from deploy.commands.command import add_command
from deploy.commands.data import tell_skipped
from deploy.config import ConfigError, load_config
from learner.errors import LearnerError, NonFiniteError

EXAMPLES = """\
examples:
  stepcoder data synth -o problems.jsonl --per-tier 300
  stepcoder sft problems.jsonl -o models/warm                      a small Llama from scratch
  stepcoder sft apps.json -o models/warm --model deepseek-coder    a model that exists
  stepcoder sft problems.jsonl -o models/warm --sft.steps 900 --sft.optimizer.lr 1e-3
  stepcoder sft problems.jsonl -o models/warm --solve 50           and its pass rate in the sandbox
  stepcoder train --config P --model.path models/warm

Every `sft.` and `model.` key that `stepcoder config` prints can be overridden. Several ranks:
torchrun --nproc-per-node 2 -m deploy sft ...
"""


def add_sft_command(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    """Add `sft` to the command line's parser."""
    summary = "fine-tune a policy on a data set's solutions (the warm start): a model folder"
    parser = add_command(commands, "sft", run, summary, EXAMPLES)
    parser.add_argument("source", type=Path, help="a file of problems, or a folder of APPS")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--model", type=Path, help="a Hugging Face folder to start from")
    parser.add_argument("--config", type=Path, metavar="P", help="a profile in YAML")
    parser.add_argument("--format", choices=FORMATS, help="how the data is laid out (detected)")
    parser.add_argument("--skip-bad", action="store_true", help="leave bad records out, counted")
    parser.add_argument(
        "--heldout", type=float, default=0.05, metavar="SHARE", help="not learned from (0.05)"
    )
    parser.add_argument(
        "--solve", type=int, default=0, metavar="N", help="held-out problems to solve at the end"
    )


def run(options: argparse.Namespace, words: Sequence[str]) -> int:
    """Train, print progress and the result; returns the exit status.

    Raises:
        ConfigError: data or model cannot be used; the message names which.
    """
    given = ["--model.path", str(options.model)] if options.model else []
    config = load_config(options.config, [*given, *words])
    if options.out.exists() and not (options.out / "config.json").is_file():
        raise ConfigError(f"--out {options.out}: exists and is no model folder; name another")
    skipped = Skipped() if options.skip_bad else None
    try:
        format = FORMATS[options.format] if options.format else None
        problems = list(read_source(options.source, format, skipped=skipped))
    except OSError as error:
        raise ConfigError(
            f"{error.filename or options.source}: {error.strerror or error}"
        ) from None
    tell_skipped(skipped or Skipped())
    train, heldout = split(problems, options.heldout, config.sft.seed, options.source)
    print(f"sft: {len(train)} problems to learn from, {len(heldout)} held out -> {options.out}")
    from learner.sft import sft

    try:
        result = sft(
            pairs(train), config.sft, config.model, options.out, show, heldout=pairs(heldout)
        )
    except NonFiniteError as error:
        raise RunFailed(f"sft: {error}") from None
    except LearnerError as error:
        raise ConfigError(f"sft: {error}") from None
    if options.solve and heldout and _first_rank():
        from deploy.greedy_evaluation import greedy_pass_rate

        result |= greedy_pass_rate(options.out, heldout[: options.solve], config)
    if _first_rank():
        print(json.dumps(result))
    return 0


def split(
    problems: Sequence[Problem], share: float, seed: int, source: Path
) -> tuple[list[Problem], list[Problem]]:
    """Problems to learn from and held-out ones, which share no question.

    Raises:
        ConfigError: nothing is left to learn from, or `share` is no share.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"--heldout {share}: a share lies between 0 and 1")
    questions = sorted({problem.question for problem in problems})
    random.Random(seed).shuffle(questions)
    kept_out = set(questions[: round(share * len(questions))])
    train = [problem for problem in problems if problem.question not in kept_out]
    if not train:
        raise ConfigError(f"{source}: no problems to learn from")
    return train, [problem for problem in problems if problem.question in kept_out]


def pairs(problems: Sequence[Problem]) -> list[tuple[str, str]]:
    """Prompts as RL asks them for the whole task, and what is to follow."""
    subtasks = [cut(problem, FULL_TASK, frozenset()) for problem in problems]
    return [(prompt_text(subtask), subtask.remainder) for subtask in subtasks]


def show(row: dict[str, float]) -> None:
    """One line of progress."""
    left = row["seconds"] / row["step"] * (row["steps"] - row["step"])
    heldout = f"  held out {row['heldout_loss']:.4f}" if "heldout_loss" in row else ""
    print(
        f"step {row['step']:.0f}/{row['steps']:.0f}  loss {row['loss']:.4f}{heldout}  "
        f"lr {row['lr']:.2e}  {row['tokens_per_second']:.0f} tokens/s  left {clock(left)}",
        flush=True,
    )


def _first_rank() -> bool:
    import torch

    distributed: Any = torch.distributed
    return distributed.get_rank() == 0
