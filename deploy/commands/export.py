"""`stepcoder export`: a Hugging Face folder from a checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from actors.runs.checksums import find_corruption
from actors.runs.folder import POLICY, RunFolder
from actors.runs.store.objects import CHECKPOINTS, sealed_checkpoints
from deploy.commands.overwriting import check_target
from deploy.config import load_config
from deploy.config.places import is_url
from deploy.errors import ConfigError
from deploy.logs import log_to_stdout
from deploy.stored.fetch import checkpoint as wanted_checkpoint
from deploy.stored.fetch import fetch
from deploy.stored.listing import runs_in
from learner.errors import LearnerError

logger = logging.getLogger(__name__)

app = App(
    name="export",
    help_epilogue="""\
Examples:
  stepcoder export runs/hot -o models/hot                   newest checkpoint
  stepcoder export runs/hot/checkpoints/step-000020 -o models/hot
  stepcoder export s3://bucket/runs/hot -o models/hot       fetches it
  stepcoder export runs/hot -o models/hot-lora --adapters   LoRA adapters alone""",
)


@app.default
def export(
    checkpoint: str,
    /,
    *,
    out: Annotated[Path, Parameter(("--out", "-o"), help="Folder to write.")],
    adapters: Annotated[
        bool, Parameter(help="Write the LoRA adapters alone, for `peft`.", negative=())
    ] = False,
    overwrite: Annotated[bool, Parameter(help="Replace the folder.", negative=())] = False,
) -> int:
    """Write the policy of a checkpoint as a Hugging Face folder.

    Works for every ZeRO stage and number of ranks, without starting them; LoRA adapters are merged.

    Args:
        checkpoint: a checkpoint, or a run's folder for its newest one; a URL is fetched.
    """
    log_to_stdout()
    if not is_url(checkpoint):
        folder = _checkpoint(Path(checkpoint))
        check_target(out, overwrite)
    else:
        check_target(out, overwrite)
        folder = _fetched_checkpoint(checkpoint)
    config = folder.parents[1] / "config.yaml"
    model = load_config(config).model if config.is_file() else None
    from learner.zero.consolidated import read_policy

    try:
        whole = read_policy(folder / "learner", bool(model and model.trust_remote_code))
        if adapters:
            whole.write_adapters(out, model.path if model else None)
        else:
            whole.write(out)
    except LearnerError as error:
        raise ConfigError(f"export: {error}") from error
    precision = str(whole.dtype).removeprefix("torch.")
    if adapters:
        logger.info("export: adapters of rank %d -> %s", whole.lora.rank, out)
    else:
        logger.info("export: %s, %s -> %s", folder.name, precision, out)
    if whole.lora.rank and not adapters:
        logger.info(
            "export: merging into %s rounds away %.2g of the adapters' change (by norm)%s",
            precision,
            whole.rounded_away(),
            "; --adapters keeps them apart" if precision != "float32" else "",
        )
    return 0


def _checkpoint(given: Path) -> Path:
    """The checkpoint that a path names.

    Raises:
        ConfigError: it names none.
    """
    if (given / "learner" / "learner.json").is_file():
        return given.absolute()
    if (given / POLICY / "config.json").is_file() and not (given / "checkpoints").is_dir():
        raise ConfigError(f"{given}: its policy is a model folder already: {given / POLICY}")
    newest = RunFolder(given.absolute()).latest() if given.is_dir() else None
    if newest is None:
        raise ConfigError(
            f"{given}: no checkpoint there; give a folder such as RUN/checkpoints/step-000020, or "
            f"the folder of a run{runs_in(given)}"
        )
    return newest


def _fetched_checkpoint(url: str) -> Path:
    """The checkpoint that a URL names, fetched and compared with its checksums.

    Raises:
        ConfigError: it names none, or a corrupt one.
    """
    run, _, name = url.rstrip("/").partition(f"/{CHECKPOINTS}/")
    whole: list[str] = []

    def wanted(names: set[str]) -> set[str]:
        whole[:] = sealed_checkpoints(names)
        return wanted_checkpoint(names, name or (whole[-1] if whole else ""))

    root = fetch(run, wanted)
    name = name or (whole[-1] if whole else "")
    if name not in whole:
        raise ConfigError(
            f"{url}: no checkpoint there that a run could go on from; there are: "
            f"{', '.join(whole) or 'none'}"
        )
    folder = root / CHECKPOINTS / name
    if (corruption := find_corruption(folder)) is not None:
        raise ConfigError(f"{run}: {folder.name} is corrupt: {corruption}; name another checkpoint")
    return folder
