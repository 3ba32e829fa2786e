"""`stepcoder check`: whether this machine can run StepCoder, and how fast."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.cluster.authentication import use_token_authentication
from deploy.errors import ConfigError
from deploy.logs import log_to_stdout

logger = logging.getLogger(__name__)

app = App(
    name="check",
    help_epilogue="""\
Examples:
  stepcoder check                                     make gpu-check
  stepcoder check --quick --skip training
  stepcoder check --model models/qwen \\
      --train train.jsonl --heldout heldout.jsonl

Parts: machine, exactness, attention, speed, engines, nccl, training, pretrained. On a machine
without a GPU each checks the CPU's equivalent. check.json and a log of each part are in --out; the
exit status is 0 if no part failed, else 1.""",
)


@app.default
def check(
    *,
    skip: Annotated[str, Parameter(help="Parts to leave out, separated by commas.")] = "",
    quick: Annotated[bool, Parameter(help="The smallest models, everything once.")] = False,
    limit: Annotated[float, Parameter(help="Longest time for all parts [seconds].")] = 600,
    steps: Annotated[int, Parameter(help="RL steps of each run.")] = 10,
    model: Annotated[Path | None, Parameter(help="Folder of a pretrained model.")] = None,
    train: Annotated[Path | None, Parameter(help="Its training problems (JSONL).")] = None,
    heldout: Annotated[Path | None, Parameter(help="Its held-out problems (JSONL).")] = None,
    out: Annotated[Path, Parameter(help="Folder of the results.")] = Path("runs/check"),
) -> int:
    """Check devices, exactness, broadcasts and training on this machine, in at most ten minutes."""
    log_to_stdout()
    use_token_authentication()
    from deploy.machine.check import PARTS, check, write_check
    from deploy.machine.part import PartResult, Scale
    from deploy.report.check_table import print_check

    skipped = {name.strip() for name in skip.split(",") if name.strip()}
    names = [part.name for part in PARTS]
    if unknown := sorted(skipped - set(names)):
        raise ConfigError(
            f"--skip {unknown[0]}: there is no such part; there are {', '.join(names)}"
        )
    if limit <= 0 or steps < 1:
        raise ConfigError("--limit must be above 0 and --steps at least 1")
    for path in (model, train, heldout):
        if path is not None and not path.exists():
            raise ConfigError(f"{path}: no such file or folder")

    import torch

    out = out.absolute()
    results: list[PartResult] = []

    def report(result: PartResult) -> None:
        logger.info("%s: %s (%.0f s)", result.name, result.status, result.seconds)
        results.append(result)
        write_check(results, out / "check.json")  # what is known when the command is interrupted

    model, train, heldout = (path and path.absolute() for path in (model, train, heldout))
    scale = Scale(torch.cuda.device_count(), quick, out, model, train, heldout, steps)
    check(scale, skipped, limit, report)
    print_check(results)
    logger.info("written: %s", out / "check.json")
    return int(any(result.status == "failed" for result in results))
