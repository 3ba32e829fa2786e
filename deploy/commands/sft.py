"""`stepcoder sft`: a policy fine-tuned on the solutions of a data set."""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from actors.errors import RunFailed
from actors.training.console import clock
from curriculum.config import PromptConfig
from curriculum.datasets.registry import Skipped
from curriculum.problem import Problem
from curriculum.prompts.fit import named
from curriculum.prompts.render import PromptRenderer
from curriculum.subtask import FULL_TASK, cut
from deploy.commands.configuration import Configuration, takes_configuration
from deploy.commands.data.source import FormatOption, Selection, SkipBad, SourcePath, report_skipped
from deploy.commands.overwriting import check_target
from deploy.errors import ConfigError
from deploy.logs import log_to_stdout
from deploy.threads import use_free_cores
from learner.errors import LearnerError, NonFiniteError

logger = logging.getLogger(__name__)

app = App(
    name="sft",
    help_epilogue="""\
Examples:
  stepcoder data synth -o problems.jsonl --per-tier 300
  stepcoder sft problems.jsonl -o models/warm                a small new Llama
  stepcoder sft apps.json -o models/warm --model deepseek-coder
  stepcoder sft problems.jsonl -o models/warm --sft.steps 900
  stepcoder sft problems.jsonl -o models/warm --solve 50     and its pass rate
  stepcoder train --config P --model.path models/warm

Several ranks: torchrun --nproc-per-node 2 -m deploy sft ...""",
)


@app.default
@takes_configuration("sft", "model", "prompt", "sandbox", "rollout")
def sft(
    configuration: Configuration,
    source: SourcePath,
    /,
    *,
    out: Annotated[Path, Parameter(("--out", "-o"), help="Model folder to write.")],
    model: Annotated[
        str | None, Parameter(help="Hugging Face folder, or name on the hub, to start from.")
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Replace the model folder without asking.", negative=())
    ] = False,
    format: FormatOption = None,
    skip_bad: SkipBad = False,
    heldout: Annotated[float, Parameter(help="Share of the problems not learned from.")] = 0.05,
    solve: Annotated[int, Parameter(help="Held-out problems to solve at the end.")] = 0,
) -> int:
    """Fine-tune a policy on a data set's solutions (the warm start): a model folder.

    Reads the configuration's `sft`, `model`, `prompt` and, with --solve, `sandbox` and `rollout`
    keys.
    """
    log_to_stdout()
    if model:
        overrides = {"model.path": json.dumps(model), **configuration.overrides}
        configuration = replace(configuration, overrides=overrides)
    config = configuration.load()
    if config.prompt.style == "chat":
        raise ConfigError(
            "sft learns to continue prompts of style base; leave prompt.style out, or train a chat "
            "model without a warm start"
        )
    if os.environ.get("RANK", "0") == "0":
        check_target(out, overwrite)
    skipped = Skipped()
    problems = list(Selection(format=format, skip_bad=skip_bad).read(source, skipped))
    report_skipped(skipped)
    if without := [problem.id for problem in problems if not problem.solution]:
        names = named(without)
        logger.warning("left out %d problems without a solution to learn: %s", len(without), names)
        problems = [problem for problem in problems if problem.solution]
    train, held_out = split(problems, heldout, config.sft.seed, source)
    logger.info("sft: %d problems to learn from, %d held out -> %s", len(train), len(held_out), out)
    threads = use_free_cores()
    logger.info("sft: %d thread(s)", threads)
    from learner.sft import sft

    try:
        result = sft(
            pairs(train, config.prompt),
            config.sft,
            config.model,
            out,
            log_step,
            heldout=pairs(held_out, config.prompt),
            names=[problem.id for problem in train],
        )
    except NonFiniteError as error:
        raise RunFailed(f"sft: {error}") from error
    except LearnerError as error:
        raise ConfigError(f"sft: {error}") from error
    if solve and held_out and _first_rank():
        from deploy.greedy_evaluation import greedy_pass_rate

        result |= greedy_pass_rate(out, held_out[:solve], config)
    if _first_rank():
        print(json.dumps(result))
    return 0


def split(
    problems: Sequence[Problem], share: float, seed: int, source: Path
) -> tuple[list[Problem], list[Problem]]:
    """Problems to learn from, and held-out problems that share no question with them.

    Raises:
        ConfigError: nothing is left to learn from, or `share` is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise ConfigError(f"--heldout {share}: a share lies between 0 and 1")
    questions = sorted({problem.question for problem in problems})
    random.Random(seed).shuffle(questions)
    held_out = set(questions[: round(share * len(questions))])
    train = [problem for problem in problems if problem.question not in held_out]
    if not train:
        raise ConfigError(f"{source}: no problems to learn from")
    return train, [problem for problem in problems if problem.question in held_out]


def pairs(problems: Sequence[Problem], config: PromptConfig) -> list[tuple[str, str]]:
    """Pairs of a prompt, as RL writes it for the whole task, and the solution that follows.

    Raises:
        CurriculumError: the template fails on a problem.
    """
    renderer = PromptRenderer(config)
    subtasks = [cut(problem, FULL_TASK, frozenset()) for problem in problems]
    rendered = [renderer.render(subtask) for subtask in subtasks]
    return [
        (prompt.text + prompt.prefix, subtask.remainder)
        for prompt, subtask in zip(rendered, subtasks, strict=True)
    ]


def log_step(row: dict[str, float]) -> None:
    """Log the metrics of one step on one line."""
    left = row["seconds"] / row["step"] * (row["steps"] - row["step"])
    heldout = f"  held out {row['heldout_loss']:.4f}" if "heldout_loss" in row else ""
    logger.info(
        f"step {row['step']:.0f}/{row['steps']:.0f}  loss {row['loss']:.4f}{heldout}  "
        f"lr {row['lr']:.2e}  {row['tokens_per_second']:.0f} tokens/s  left {clock(left)}",
        extra={"progress": ("sft", row["step"], row["steps"])},
    )


def _first_rank() -> bool:
    import torch

    distributed: Any = torch.distributed
    return distributed.get_rank() == 0
