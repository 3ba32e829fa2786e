"""`stepcoder train`: from a configuration to a finished run folder."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from transformers import AutoTokenizer

from actors.cluster.connect import Cluster, connect
from actors.cluster.placement import Placement, reserve
from actors.learners.group import LearnerGroup
from actors.rollout.collector import Collector
from actors.rollout.fleet import RolloutFleet
from actors.runs.folder import RunFolder
from actors.runs.metrics import MetricsLog
from actors.sandboxes.pool import SandboxPool
from actors.training.evaluate import Evaluation
from actors.training.trainer import Trainer
from actors.training.warm_start import warm_start
from actors.training.weight_parity import WeightParityCheck
from actors.training.weight_sync import WeightSync
from curriculum.datasets.load import DataSet, load_dataset
from curriculum.files import write_atomic
from curriculum.problem import Problem
from curriculum.schedule.make import make_schedule
from curriculum.synthetic.corpus import noisy_corpus
from deploy.config import ConfigError, RunConfig, differing_keys, load_config
from deploy.versions import git_commit, package_versions
from learner.config import FREE_SETTINGS

PROBE_PROBLEMS = 8
"""Held-out problems whose canonical solutions make up the weight probe."""


def say(line: str) -> None:
    """Print one line at once, so that a follower of the job sees it."""
    print(line, flush=True)


def train(config: RunConfig, resume: bool = False, overwrite: bool = False) -> dict[str, Any]:
    """Run to the end and return what `result.json` holds.

    Raises:
        ConfigError: the configuration or the run folder does not allow this run.
        RunFailed, TimeoutError: an actor failed; the message names it.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if config.model.path is not None:
        check_model_folder(Path(config.model.path))
    folder = RunFolder(config.runs_dir.absolute() / config.name)
    check_folder(folder, config, resume, overwrite)
    dataset = load_dataset(config.data)
    on_term = signal.getsignal(signal.SIGTERM)
    cluster = connect(config.placement, config.rollout, config.pool)
    run: Run | None = None
    try:
        # Joining Ray puts its own handler in place of the one for SIGTERM, which would end this
        # process without stopping the sandboxes.
        signal.signal(signal.SIGTERM, on_term)
        place = reserve(config.placement, config.rollout, config.pool, cluster.gpu)
        model_dir, sft_s = _policy(config, dataset, cluster, place)
        if not resume:
            folder.clear()
        write_atomic(folder.config, config.to_yaml())
        run = Run(config, folder, dataset, cluster, place, model_dir)
        timings = {"warm_start": sft_s}
        after = asyncio.run(run.train(folder.latest() if resume else None, timings))
        result = run.result(asdict(after), timings)
        write_atomic(folder.result, json.dumps(result, indent=2) + "\n")
        return result
    finally:
        if run is not None:
            asyncio.run(run.stop())
        ray.shutdown()


def check_folder(folder: RunFolder, config: RunConfig, resume: bool, overwrite: bool) -> None:
    """Refuse to start into a folder that this run must not use; changes nothing.

    Raises:
        ConfigError: it holds another run, or the run to resume had another configuration.
    """
    if resume and folder.latest() is None:
        raise ConfigError(
            f"--resume: no checkpoint in {folder.checkpoints}; start the run without --resume"
        )
    if resume:
        changed = [
            key
            for key in differing_keys(load_config(folder.config), config)
            if not key.startswith(("loop.", "placement.", "pool.", "runs_dir"))
            and key.removeprefix("learner.") not in FREE_SETTINGS
        ]
        if changed:
            raise ConfigError(
                f"--resume: this configuration differs from {folder.config} at "
                f"{', '.join(changed)}; resume with the same, or start another run with --name"
            )
    elif folder.in_use() and not overwrite:
        raise ConfigError(
            f"{folder.root} holds another run: choose another --name, continue it with --resume, "
            f"or replace it with --overwrite"
        )


def _policy(
    config: RunConfig, dataset: DataSet, cluster: Cluster, place: Placement
) -> tuple[Path, float]:
    """The folder of the policy to start from, and the seconds its warm start took."""
    if config.model.path is not None:
        return Path(config.model.path).absolute(), 0.0
    questions = {problem.question for problem in dataset.heldout}
    pairs = list(noisy_corpus(config.data.corpus_seed, config.data.corpus_size, questions))
    cache = config.runs_dir.absolute() / "cache"
    threads, options = config.placement.sft_threads, place.learner(0)
    return warm_start(pairs, config.model, config.sft, threads, cluster.gpu, options, cache)


def check_model_folder(path: Path) -> None:
    """Refuse a folder that holds no Hugging Face model before any actor starts.

    Raises:
        ConfigError: names the folder and the file that is missing.
    """
    for needed in ("config.json", "tokenizer.json"):
        if not (path / needed).is_file():
            raise ConfigError(
                f"model.path {path}: no {needed} there; expected a Hugging Face model folder "
                f"(config.json, *.safetensors, tokenizer.json)"
            )


class Run:
    """The actors of one run and what joins them."""

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        dataset: DataSet,
        cluster: Cluster,
        place: Placement,
        model_dir: Path,
    ) -> None:
        self.config = config
        self.cluster = cluster
        self.model_dir = model_dir
        self.versions = package_versions()
        self.isolation = "unknown"
        deadline = config.loop.step_timeout_s
        self.placement = place
        self.pool = SandboxPool.create(config.sandbox, config.pool, config.name, place.sandbox)
        learner = config.learner.model_copy(update={"seed": config.seed + config.learner.seed})
        self.learner = LearnerGroup.create(
            learner, config.placement, cluster.gpu, deadline, place.learner
        )
        colocated = config.placement.colocate
        self.backend = config.weights.backend
        if self.backend == "auto":
            self.backend = ("ipc" if colocated else "nccl") if cluster.gpu else "gloo"
        sync = WeightSync(self.learner, config.weights, self.backend)
        self.fleet = RolloutFleet.create(
            config.rollout,
            cluster.gpu,
            place.rollout,
            colocated=colocated,
            on_engine_loaded=sync.update_engine,
        )
        tokenizer = AutoTokenizer.from_pretrained(model_dir)
        self.log = MetricsLog(folder, config.name)
        self.trainer = Trainer(
            loop=config.loop,
            rewards=config.reward,
            samples_per_prompt=config.rollout.samples_per_prompt,
            schedule=make_schedule(dataset.train, config.curriculum, config.seed),
            heldout=dataset.heldout,
            collector=Collector(
                self.fleet,
                self.pool,
                tokenizer,
                config.rollout,
                config.sandbox.limits,
                config.seed,
                config.prompt,
            ),
            fleet=self.fleet,
            pool=self.pool,
            learner=self.learner,
            sync=sync,
            parity=WeightParityCheck(
                self.learner,
                self.fleet,
                probe_sequences(dataset.heldout, tokenizer, config.rollout.max_model_len),
                config.weights.verify_tolerance,
                deadline,
            ),
            folder=folder,
            log=self.log,
        )

    async def train(self, checkpoint: Path | None, timings: dict[str, float]) -> Evaluation:
        """Load everything, continue from `checkpoint` if there is one, run the loop to its end."""
        before = time.monotonic()
        await self.start()
        timings["start"] = time.monotonic() - before
        if checkpoint is not None:
            await self.trainer.restore(checkpoint)
            say(f"resumed from {checkpoint.name}")
        async with self.fleet.heartbeat():
            return await self.trainer.run()

    async def start(self) -> None:
        """Load engines, learner and sandboxes together.

        Raises:
            RunFailed: a part failed to load; the message is the part's own.
            TimeoutError: a part did not load in time.
        """
        config = self.config
        models, sandboxes = await asyncio.gather(
            self._start_models(), self.pool.start(config.rollout.start_timeout_s)
        )
        for report in models:
            self.versions |= report
        self.isolation, reason = sandboxes
        say(isolation_line(self.isolation, reason))
        say(
            f"ready: {config.rollout.workers} rollout worker(s), "
            f"{config.placement.learner_ranks} learner rank(s), "
            f"{config.pool.workers * config.pool.slots_per_worker} sandboxes ({self.isolation})"
        )

    async def _start_models(self) -> list[dict[str, str]]:
        """Load engines and learner, one after the other where they share GPUs."""
        temperature, faults = self.config.rollout.temperature, self.trainer.folder.faults
        engines = self.fleet.start(self.model_dir, self.backend)
        ranks = self.learner.start(self.model_dir, temperature, faults)
        if not self.config.placement.colocate:
            reports = await asyncio.gather(engines, ranks)
            return reports[0] + reports[1]
        of_engines = await engines
        await self.fleet.sleep()
        return of_engines + await ranks

    def result(self, after: dict[str, Any], timings: dict[str, float]) -> dict[str, Any]:
        """The run in numbers."""
        progress, parity = self.trainer.state, self.trainer.parity
        assert progress.before is not None
        before = progress.before
        return {
            "name": self.config.name,
            "finished": True,
            "steps": progress.step,
            "seed": self.config.seed,
            "git_commit": git_commit(),
            "config_digest": self.config.digest(),
            "isolation": self.isolation,
            "versions": self.versions,
            "eval": {"before": before, "after": after},
            "gain": after["pass_at_1"]["overall"] - before["pass_at_1"]["overall"],
            "weights": {
                "broadcasts": progress.broadcasts,
                "first_pushes": progress.starts,
                "parity_checks": parity.checks,
                "max_logprob_diff": parity.largest,
            },
            "samples": self.trainer.ledger.totals,
            "restarts": self.trainer.restarts(),
            "seconds": {
                **timings,
                **progress.seconds,
                "total": progress.total_s + sum(timings.values()),
            },
        }

    async def stop(self) -> None:
        """End every actor; sandboxes first, so that no container outlives the run."""
        await self.pool.stop()
        await self.fleet.stop()
        await self.learner.stop()
        self.log.close()
        self.placement.release()


def isolation_line(isolation: str, reason: str) -> str:
    """One line on what stands between the programs and the machine; loud where nothing does."""
    if isolation == "docker":
        return f"sandbox: programs run in Docker containers ({reason})"
    return (
        "sandbox: WITHOUT ISOLATION: the policy's programs run as processes of this user and can "
        f"read its files ({reason})"
    )


def probe_sequences(problems: Sequence[Problem], tokenizer: Any, longest: int) -> list[list[int]]:
    """Token ids of the first held-out problems with their canonical solutions, cut to fit."""
    texts = [f"{p.question}\n{p.canonical_solution}" for p in problems[:PROBE_PROBLEMS]]
    return [tokenizer.encode(text, add_special_tokens=False)[: longest - 1] for text in texts]
