"""`stepcoder signal`: signal and noise of the policy gradient at a checkpoint, by mask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from actors.recording.rollout_file import recorded_steps, step_file
from actors.runs.folder import RunFolder, checkpoint_step
from deploy.config import load_config
from deploy.errors import ConfigError

app = App(
    name="signal",
    help_epilogue="""\
Examples:
  stepcoder signal runs/smoke                               newest checkpoint
  stepcoder signal runs/smoke --step 20 --masks fgo,random,none
  stepcoder signal runs/smoke --step 20 --steps 4           four steps' rollouts: narrower
  stepcoder signal runs/smoke --json docs/signal/smoke.json
  stepcoder signal report docs/signal --markdown docs/signal.md""",
)
app.command(
    "deploy.commands.runs.signal.report:app", name="report",
    help="Write table, page and picture of measurements.",
)  # fmt: skip


@app.default
def signal(
    run: str,
    /,
    *,
    step: Annotated[
        int | None, Parameter(help="Step of the checkpoint [the newest with rollouts behind it].")
    ] = None,
    steps: Annotated[int, Parameter(help="Steps behind it whose rollouts are used.")] = 1,
    masks: Annotated[
        str, Parameter(help="Masks, of learner.mask; the last one is compared with.")
    ] = "fgo,random,none",
    groups: Annotated[int | None, Parameter(help="Most groups [all].")] = None,
    seed: Annotated[int, Parameter(help="Of the bootstrap.")] = 0,
    json: Annotated[Path | None, Parameter(help="File for all figures.")] = None,
    name: Annotated[
        str | None, Parameter(help="What the measurement is called [run and checkpoint].")
    ] = None,
) -> int:
    """Print the squared mean of the policy gradient over its variance from group to group, by mask.

    The gradients are those of the rollouts that a run recorded (`loop.record all`) behind a
    checkpoint, with the advantages that it learned from. The intervals are of 95 %, by bootstrap
    over groups; differences are paired. The cosine says whether a mask turns the mean gradient.
    `--json` also has the parts of the groups (tier, share of tokens not executed, of programs that
    raised and that passed) and figures by place in the response.

    Args:
        run: the folder of a run, or its URL.
    """
    from rich.console import Console

    from deploy.report.ablation.table import print_table
    from deploy.report.signal.tables import mask_table
    from deploy.signal.measure import measure_signal
    from deploy.stored.fetch import local_folder, rollouts_and_checkpoints
    from deploy.stored.listing import runs_in

    names = [name.strip() for name in masks.split(",") if name.strip()]
    root = local_folder(run, rollouts_and_checkpoints).absolute()
    folder, file = RunFolder(root), root / "config.yaml"
    if not file.is_file():
        raise ConfigError(f"{run}: not the folder of a run: no config.yaml there{runs_in(root)}")
    if steps < 1:
        raise ConfigError(f"--steps {steps}: must be above 0")
    checkpoint, first = _checkpoint(folder, step)
    files = [step_file(folder.rollouts, first + number) for number in range(1, steps + 1)]
    found = measure_signal(
        name or f"{root.name}, {checkpoint.name}", checkpoint,
        [path for path in files if path.is_file()], load_config(file), names, groups, seed,
    )  # fmt: skip
    print_table(mask_table(found), Console())
    if json is not None:
        found.write(json)
        print(f"\nfigures: {json}")
    return 0


def _checkpoint(folder: RunFolder, step: int | None) -> tuple[Path, int]:
    """A checkpoint behind which rollouts were recorded, and its step.

    Raises:
        ConfigError: there is none; says why.
    """
    recorded = {path.name for path in recorded_steps(folder.rollouts)}
    if not recorded:
        raise ConfigError(f"{folder.root}: no recorded rollouts: train with --loop.record all")
    saved = {checkpoint_step(path): path for path in folder.checkpoints.glob("step-*")}
    usable = [at for at in saved if step_file(folder.rollouts, at + 1).name in recorded]
    at = step if step is not None else max(usable, default=None)
    if at is None or at not in usable:
        raise ConfigError(
            f"{folder.root}: no checkpoint{'' if step is None else f' of step {step}'} with "
            f"rollouts of the step behind it; there are {sorted(usable) or 'none'} "
            "(loop.checkpoint_every, loop.keep_checkpoints)"
        )
    return saved[at], at
