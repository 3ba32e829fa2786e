"""`train`: from a configuration to a finished run folder."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from actors.cluster.connect import Cluster, connect, job_text
from actors.cluster.placement import Placement, reserve
from actors.cluster.shared_files import check_model_folder, check_run_folder
from actors.models.fetch import fetch_on_nodes
from actors.runs.folder import RunFolder, checkpoint_step
from actors.runs.logs import collect_logs
from actors.training.warm_start import warm_start
from curriculum.datasets.load import DataSet, load_dataset
from curriculum.files import write_atomic
from curriculum.synthetic.corpus import noisy_corpus
from deploy.checks.disk import check_disk
from deploy.checks.folder import check_folder, recorded_result, sole_run
from deploy.checks.memory import fit_memory, place
from deploy.checks.model import check_model
from deploy.checks.prompts import fit_prompts
from deploy.checks.resume import check_curriculum, check_suites
from deploy.checks.reward import check_reward
from deploy.checks.sinks import check_sinks
from deploy.checks.store import (
    can_go_on,
    open_store,
    prepare_store,
    uploading,
    wait_for_lease,
)
from deploy.checks.suites import load_eval_suites
from deploy.config import RunConfig
from deploy.plan.run_plan import policy_shape
from deploy.run import Run
from deploy.stored.reach import within
from learner.models.source import ModelSource

logger = logging.getLogger(__name__)


def train(config: RunConfig, resume: bool = False, overwrite: bool = False) -> dict[str, Any]:
    """Run to the last step and return what `result.json` holds.

    Progress is logged: at INFO by the loggers of our packages, and all of it to the run's
    `log.txt`. An exception that ends the run carries a note (`__notes__`) on how to continue it.

    Args:
        config: the whole run.
        resume: continue from the last checkpoint.
        overwrite: replace a run of the same name; with `resume` only one that was ended before its
            first checkpoint, and the lease of a run that was killed is waited for. So a scheduler
            begins a job again.

    Raises:
        ConfigError: the configuration or the run folder does not allow this run.
        CurriculumError: the data cannot be used.
        RunFailed: Ray did not start, or an actor failed; the message names it.
        TimeoutError: an actor did not answer in time; the message names it.
    """
    folder = RunFolder(config.local_runs.absolute() / config.name)
    store = open_store(config)
    if resume and overwrite:
        if store is not None:
            wait_for_lease(store, folder)
        resume = can_go_on(folder, store)
    if store is not None:
        prepare_store(store, folder, config.loop, resume, overwrite)
    config = check_folder(folder, config, resume, overwrite)
    if resume and (finished := recorded_result(folder, config)) is not None:
        logger.warning(
            "%s ended at step %d: there is nothing to resume, and nothing was changed; raise "
            "loop.steps to go on",
            folder.root,
            config.loop.steps,
        )
        with sole_run(folder), uploading(store, folder, config.loop) as uploads:
            if uploads is not None:
                uploads.finish()
        return finished
    reward_function = check_reward(config.reward)
    if config.model.path is not None:
        config = check_model(config)
        check_disk(folder, config, policy_shape(config), resume, overwrite)
    dataset = load_dataset(config.data)
    suites = load_eval_suites(config, dataset)
    check_sinks(config.loop.sinks)
    # A model that exists has its tokenizer, so that its prompts are looked at before Ray starts.
    given = _given_model(config)
    fit = fit_prompts(config, dataset, given.description(), suites) if given else None
    if resume and fit is not None and (checkpoint := folder.latest()) is not None:
        check_curriculum(checkpoint, config, fit)
        check_suites(folder, fit)
    with sole_run(folder), uploading(store, folder, config.loop) as uploads:
        cluster = connect(config.placement, config.rollout, config.pool)
        try:
            config = place(config, cluster)
            placement = reserve(config.placement, config.rollout, config.pool, cluster.gpu)
            if not resume:
                folder.clear()
                if store is not None:
                    within(config.loop.checkpoint_timeout_s, store.url, store.clear)
            with collect_logs(folder.log), notes_on_continuing(folder):
                write_atomic(folder.config, config.to_yaml())
                if uploads is not None:
                    uploads.request()  # from here on the folder is this run's
                logger.info("run %s: %s", config.name, job_text())
                nodes, deadline_s = placement.model_nodes(), config.placement.timeout_s
                check_run_folder(folder.root, nodes, deadline_s)
                model, warm_start_s = _first_policy(config, dataset, cluster, placement)
                if fit is None:
                    fit = fit_prompts(config, dataset, model.description(), suites)
                    if resume:
                        check_suites(folder, fit)
                fit.log()
                memory = fit_memory(config, cluster, placement, model)
                fetch_on_nodes(model, nodes)
                if model.hub_name is None:
                    check_model_folder(Path(model.path), nodes, deadline_s)
                run = Run(
                    config, folder, fit, cluster, placement, model, memory, reward_function, uploads
                )
                checkpoint = folder.latest() if resume else None
                result = asyncio.run(run.train(checkpoint, warm_start_s))
            write_atomic(folder.result, json.dumps(result, indent=2) + "\n")
            if uploads is not None:
                uploads.finish()
            return result
        finally:
            ray.shutdown()


def _first_policy(
    config: RunConfig, dataset: DataSet, cluster: Cluster, placement: Placement
) -> tuple[ModelSource, float]:
    """The policy to start from, and the time of its warm start [seconds]."""
    if (given := _given_model(config)) is not None:
        return given, 0.0
    heldout_questions = {problem.question for problem in dataset.heldout}
    pairs = noisy_corpus(config.data.corpus_seed, config.data.corpus_size, heldout_questions)
    folder, seconds = warm_start(
        list(pairs),
        config.model,
        config.sft,
        threads=config.placement.sft_threads,
        gpu=cluster.gpu,
        options=placement.learner(0),
        cache=config.local_runs.absolute() / "cache",
    )
    return ModelSource(str(folder)), seconds


def _given_model(config: RunConfig) -> ModelSource | None:
    path = config.model.path
    return None if path is None else ModelSource(path, config.model.trust_remote_code)


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
