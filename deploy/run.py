"""Run: the actors of one training run, from their creation to their end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.cluster.connect import Cluster
from actors.cluster.placement import Placement
from actors.collectors.collector import Reading
from actors.collectors.group import CollectorGroup
from actors.learners.group import LearnerGroup
from actors.recording.rollout_log import RolloutLog
from actors.recording.writer import WriterProcess
from actors.rewards.function import RewardFunction
from actors.rewards.scorer import Scorer
from actors.rollout.fleet import RolloutFleet
from actors.runs.folder import RunFolder
from actors.runs.metrics import MetricsLog
from actors.runs.store.uploads import Uploads
from actors.sandboxes.pool import SandboxPool
from actors.training.evaluate import HELDOUT, Evaluation
from actors.training.evaluations import gain_interval
from actors.training.trainer import Trainer
from actors.training.weight_parity import WeightParityCheck
from actors.training.weight_sync import WeightSync
from curriculum.problem import Problem
from curriculum.schedule.make import make_schedule
from deploy.checks.memory import MemoryShare
from deploy.checks.prompts import PromptFit
from deploy.config import RunConfig
from deploy.versions import git_commit, package_versions
from learner.config import flat_settings
from learner.models.published import leading_ids, load_tokenizer
from learner.models.source import ModelSource

logger = logging.getLogger(__name__)

PARITY_PROBLEMS = 8
"""Held-out problems whose canonical solutions are the sequences of the weight parity check."""


class Run:
    """The actors of one run, and the trainer that uses them.

    The constructor creates the actors; `train` loads models and sandboxes, trains, and ends the
    actors whatever happens.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        fit: PromptFit,
        cluster: Cluster,
        placement: Placement,
        model: ModelSource,
        memory: MemoryShare,
        reward_function: RewardFunction | None,
        uploads: Uploads | None = None,
    ) -> None:
        """Create the actors in their places; nothing is loaded yet.

        Args:
            config: the whole run.
            folder: where it writes.
            fit: what it trains and is evaluated on.
            cluster: the Ray cluster that it is connected to.
            placement: the places reserved for its actors.
            model: the policy it starts from, on every node that has an actor.
            memory: how learner and engines divide their GPUs.
            reward_function: what `reward.function` names.
            uploads: where the folder is uploaded to, if it is.
        """
        self._config = config
        self._folder = folder
        self._placement = placement
        self._model = model
        self._uploads = uploads
        self._versions = package_versions()
        self._isolation = "unknown"
        self._gpu = cluster.gpu
        self._backend = config.weights_backend(cluster.gpu)
        self._tokenizer = load_tokenizer(model.description(), model.trust_remote_code)
        settings = flat_settings(config.model_dump(mode="json"))
        self._log = MetricsLog(folder, config.name, config.loop.sinks, settings)

        self._pool = SandboxPool.create(config.sandbox, config.pool, config.name, placement.sandbox)
        self._learner = LearnerGroup.create(
            config.resolved_learner(),
            config.placement,
            cluster.gpu,
            config.loop.step_timeout_s,
            placement.learner,
            memory.hands_over,
            config.loop.checkpoint_timeout_s,
        )
        self._sync = WeightSync(self._learner, config.weights, self._backend)
        self._fleet = RolloutFleet.create(
            config.resolved_rollout(cluster.gpu).model_copy(
                update={"gpu_memory_utilization": memory.engine}
            ),
            cluster.gpu,
            placement.rollout,
            colocated=bool(config.placement.colocate),
            on_engine_loaded=self._sync.update_engine,
            run=config.name,
        )
        self._collectors = CollectorGroup.create(
            self._fleet,
            self._pool,
            config.rollout,
            config.seed,
            self._tokenizer,
            Reading(config.sandbox.limits, config.prompt, config.answer, config.reward),
            placement.rollout_nodes(config.rollout.workers),
            placement.rollout,
        )
        self._fit = fit
        scorer = Scorer(config.reward, config.rollout.max_new_tokens, reward_function)
        self._trainer = self._make_trainer(scorer)

    def _make_trainer(self, scorer: Scorer) -> Trainer:
        config, dataset = self._config, self._fit.dataset
        parity = WeightParityCheck(
            self._learner,
            self._fleet,
            parity_sequences(dataset.heldout, self._tokenizer, config.rollout.max_model_len),
            config.weights.verify_tolerance,
            config.exact(self._gpu),
            config.loop.step_timeout_s,
        )
        return Trainer(
            loop=config.loop,
            scorer=scorer,
            samples_per_prompt=config.rollout.samples_per_prompt,
            schedule=make_schedule(
                dataset.train, config.curriculum, config.seed, self._fit.train.stage_limits
            ),
            suites={
                HELDOUT: dataset.heldout,
                **{name: part.problems for name, part in self._fit.suites.items()},
            },
            collectors=self._collectors,
            fleet=self._fleet,
            pool=self._pool,
            learner=self._learner,
            sync=self._sync,
            parity=parity,
            folder=self._folder,
            log=self._log,
            rollouts=RolloutLog(
                WriterProcess(self._folder.rollouts),
                config.loop.recorded_groups,
                config.loop.checkpoint_timeout_s,
            ),
            uploads=self._uploads,
        )

    async def train(self, checkpoint: Path | None, warm_start_s: float) -> dict[str, Any]:
        """Load everything, train to the last step, end the actors.

        Args:
            checkpoint: the checkpoint to continue from; None begins at step 0.
            warm_start_s: time that the warm start took, for the result [seconds].

        Returns:
            What `result.json` holds.

        Raises:
            RunFailed: a part failed to load or failed for good; the message names it.
            TimeoutError: a part did not load or answer in time; the message names it.
        """
        try:
            started = time.monotonic()
            await self._start()
            timings = {"warm_start": warm_start_s, "start": time.monotonic() - started}
            if checkpoint is not None:
                await self._trainer.restore(checkpoint)
                logger.info("resumed from %s", checkpoint.name)
            async with self._fleet.heartbeat(), self._collectors.heartbeat():
                after = await self._trainer.run()
            return self._result(after, timings)
        finally:
            await self._stop()

    async def _start(self) -> None:
        """Load engines, learner and sandboxes together, and the collectors beside the models."""
        config = self._config
        versions, reason = await asyncio.gather(self._start_models(), self._start_judging())
        for reported in versions:
            self._versions |= reported
        logger.info("sandboxes: %s (%s)", self._isolation, reason)
        # `stepcoder chaos` begins to kill when this line appears.
        logger.info(
            "ready: %d rollout worker(s), %d learner rank(s), %d sandboxes (%s)",
            config.rollout.workers,
            config.placement.learner_ranks,
            config.pool.workers * config.pool.slots_per_worker,
            self._isolation,
        )

    async def _start_judging(self) -> str:
        """Warm the sandboxes, then start the collectors; returns why programs are isolated so."""
        self._isolation, reason = await self._pool.start(self._config.rollout.start_timeout_s)
        await self._collectors.start()
        return reason

    async def _start_models(self) -> list[dict[str, str]]:
        """Load engines and learner; returns the versions of packages that each runs."""
        engines = self._fleet.start(self._model, self._backend)
        ranks = self._learner.start(
            self._model, self._config.rollout.temperature, self._folder.faults
        )
        if not self._config.placement.colocate:
            of_engines, of_ranks = await asyncio.gather(engines, ranks)
            return of_engines + of_ranks
        # An engine that sleeps leaves its GPU's memory to the learner that loads after it.
        of_engines = await engines
        await self._fleet.sleep()
        return of_engines + await ranks

    async def _stop(self) -> None:
        """End every actor; sandboxes before engines, so that no container outlives the run."""
        self._collectors.stop()
        await self._pool.stop()
        await self._fleet.stop()
        await self._learner.stop()
        self._log.close()
        self._placement.release()

    def _result(
        self, evaluations: dict[str, Evaluation], timings: dict[str, float]
    ) -> dict[str, Any]:
        state, parity = self._trainer.state, self._trainer.parity
        assert state.before is not None
        after = {suite: evaluation.summary() for suite, evaluation in evaluations.items()}
        # A resumed run may have suites that were not asked before its first step.
        suites = {suite: {"before": state.before.get(suite), "after": after[suite]}
                  for suite in after}  # fmt: skip
        heldout = suites.pop(HELDOUT)
        gain = after[HELDOUT]["pass_at_1"]["overall"] - heldout["before"]["pass_at_1"]["overall"]
        change = gain_interval(self._folder, HELDOUT)
        return {
            "name": self._config.name,
            "steps": state.step,
            "seed": self._config.seed,
            "git_commit": git_commit(),
            "config_digest": self._config.digest(),
            "isolation": self._isolation,
            "versions": self._versions,
            "eval": {**heldout, "suites": suites},
            "gain": gain,
            "gain_interval": change and [change.low, change.high],
            "weights": {
                "broadcasts": state.broadcasts,
                "first_broadcasts": state.starts,
                "parity_checks": parity.checks,
                "max_logprob_diff": parity.largest,
            },
            "left_out": self._fit.left_out(),
            "samples": self._trainer.ledger.totals,
            "restarts": self._trainer.restarts(),
            "seconds": {
                **timings,
                **state.seconds,
                "total": state.total_s + sum(timings.values()),
            },
        }


def parity_sequences(problems: Sequence[Problem], tokenizer: Any, longest: int) -> list[list[int]]:
    """Token ids of the first problems with their canonical solutions, each below `longest`."""
    texts = [f"{p.question}\n{p.solution}" for p in problems[:PARITY_PROBLEMS]]
    begin = list(leading_ids(tokenizer))
    encoded = (begin + tokenizer.encode(text, add_special_tokens=False) for text in texts)
    return [ids[: longest - 1] for ids in encoded]
