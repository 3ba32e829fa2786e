"""`train`: from a configuration to a finished run folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from actors.cluster.connect import Cluster, connect
from actors.cluster.placement import Placement, reserve
from actors.runs.folder import RunFolder, checkpoint_step
from actors.runs.logs import collect_logs
from actors.training.warm_start import warm_start
from curriculum.datasets.load import DataSet, load_dataset
from curriculum.files import write_atomic
from curriculum.synthetic.corpus import noisy_corpus
from deploy.config import RunConfig
from deploy.preflight import check_folder, check_model_folder
from deploy.prompt_fit import fit_prompts
from deploy.run import Run


def train(config: RunConfig, resume: bool = False, overwrite: bool = False) -> dict[str, Any]:
    """Run to the last step and return what `result.json` holds.

    Progress is logged: at INFO by the loggers of our packages, and all of it to the run's
    `log.txt`. An exception that ends the run carries a note (`__notes__`) on how to continue it.

    Args:
        config: the whole run.
        resume: continue from the last checkpoint.
        overwrite: replace a run of the same name.

    Raises:
        ConfigError: the configuration or the run folder does not allow this run.
        CurriculumError: the data cannot be used.
        RunFailed: Ray did not start, or an actor failed; the message names it.
        TimeoutError: an actor did not answer in time; the message names it.
    """
    if config.model.path is not None:
        check_model_folder(Path(config.model.path))
    folder = RunFolder(config.runs_dir.absolute() / config.name)
    check_folder(folder, config, resume, overwrite)
    dataset = load_dataset(config.data)
    # A model that exists has its tokenizer, so that its prompts are looked at before Ray starts.
    fit = fit_prompts(config, dataset, Path(config.model.path)) if config.model.path else None
    cluster = connect(config.placement, config.rollout, config.pool)
    try:
        placement = reserve(config.placement, config.rollout, config.pool, cluster.gpu)
        if not resume:
            folder.clear()
        with collect_logs(folder.log), notes_on_continuing(folder):
            write_atomic(folder.config, config.to_yaml())
            model_dir, warm_start_s = _first_policy(config, dataset, cluster, placement)
            fit = fit or fit_prompts(config, dataset, model_dir)
            fit.log()
            run = Run(config, folder, fit, cluster, placement, model_dir)
            checkpoint = folder.latest() if resume else None
            result = asyncio.run(run.train(checkpoint, warm_start_s))
        write_atomic(folder.result, json.dumps(result, indent=2) + "\n")
        return result
    finally:
        ray.shutdown()


def _first_policy(
    config: RunConfig, dataset: DataSet, cluster: Cluster, placement: Placement
) -> tuple[Path, float]:
    """The folder of the policy to start from, and the time of its warm start [seconds]."""
    if config.model.path is not None:
        return Path(config.model.path).absolute(), 0.0
    heldout_questions = {problem.question for problem in dataset.heldout}
    pairs = noisy_corpus(config.data.corpus_seed, config.data.corpus_size, heldout_questions)
    return warm_start(
        list(pairs),
        config.model,
        config.sft,
        threads=config.placement.sft_threads,
        gpu=cluster.gpu,
        options=placement.learner(0),
        cache=config.runs_dir.absolute() / "cache",
    )


@contextmanager
def notes_on_continuing(folder: RunFolder) -> Iterator[None]:
    """Add to whatever exception ends a run, Ctrl-C included, how the run can be continued."""
    try:
        yield
    except BaseException as error:
        checkpoint = folder.latest()
        if checkpoint is None:
            error.add_note("no checkpoint was written yet: start the run again from the beginning")
        else:
            step = checkpoint_step(checkpoint)
            error.add_note(f"continue with --resume, from step {step} ({checkpoint})")
        raise
