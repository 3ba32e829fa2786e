"""The actors of one evaluation: engines without a learner, and sandboxes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from actors.cluster.connect import connect
from actors.cluster.placement import Placement, reserve
from actors.collectors.collector import Reading
from actors.collectors.group import CollectorGroup
from actors.rollout.fleet import RolloutFleet
from actors.runs.logs import collect_logs
from actors.sandboxes.pool import SandboxPool
from deploy.config import RunConfig
from learner.models.source import ModelSource

logger = logging.getLogger(__name__)


class EvaluationActors:
    """Engines and sandboxes, each only where it is needed."""

    def __init__(
        self,
        config: RunConfig,
        fleet: RolloutFleet | None,
        pool: SandboxPool | None,
        places: Placement,
        weights_backend: str,
    ) -> None:
        self.fleet = fleet
        self.pool = pool
        self.collectors: CollectorGroup | None = None
        """Made by `start`, where a model generates."""
        self._config = config
        self._places = places
        self.isolation: str | None = None
        """Of the sandboxes: `docker` or `process`."""
        self.dtype: str | None = None
        """Number format of the engines."""
        self.versions: dict[str, str] = {}
        """Of packages in the engines."""
        self._weights_backend = weights_backend

    async def start(self, model_dir: Path | None, tokenizer: Any, deadline_s: float) -> None:
        """Load engines, warm sandboxes and start collectors, together.

        Args:
            model_dir: what the engines load; None where no model generates.
            tokenizer: its tokenizer.
            deadline_s: longest wait for the sandboxes [seconds].

        Raises:
            RunFailed: a part could not start; the message names it.
            TimeoutError: a part did not start in time.
        """
        await asyncio.gather(self._load(model_dir), self._start_judging(tokenizer, deadline_s))

    async def stop(self) -> None:
        """End the actors; sandboxes before engines, so that no container outlives them."""
        if self.collectors is not None:
            self.collectors.stop()
        if self.pool is not None:
            await self.pool.stop()
        if self.fleet is not None:
            await self.fleet.stop()

    async def _load(self, model_dir: Path | None) -> None:
        if self.fleet is None or model_dir is None:
            return
        for report in await self.fleet.start(ModelSource(str(model_dir)), self._weights_backend):
            self.dtype = report.pop("dtype", None)
            self.versions |= report
        logger.info("engines: %d, %s", len(self.fleet.engines), self.dtype)

    async def _start_judging(self, tokenizer: Any, deadline_s: float) -> None:
        await self._warm(deadline_s)
        if self.fleet is None:
            return
        config = self._config
        self.collectors = CollectorGroup.create(
            self.fleet,
            self.pool,
            config.rollout,
            config.seed,
            tokenizer,
            Reading(config.sandbox.limits, config.prompt, config.answer, config.reward),
            self._places.rollout_nodes(len(self.fleet.engines)),
            self._places.rollout,
        )
        await self.collectors.start()

    async def _warm(self, deadline_s: float) -> None:
        if self.pool is None:
            return
        self.isolation, reason = await self.pool.start(deadline_s)
        logger.info("sandboxes: %s (%s)", self.isolation, reason)


@contextmanager
def evaluation_actors(
    config: RunConfig, generates: bool, judges: bool, log: Path
) -> Iterator[EvaluationActors]:
    """Create the actors in places of their own on the cluster; nothing is loaded yet.

    On leaving, the places are released, and a cluster that was started for this ends.

    Args:
        config: of engines, sandboxes and placement.
        generates: whether engines are needed.
        judges: whether sandboxes are needed.
        log: file for the log records of driver and actors.

    Raises:
        RunFailed: Ray did not start, or the cluster lacks what the configuration requires.
    """
    placement = config.placement.model_copy(update={"learner_ranks": 0, "colocate": False})
    rollout = config.rollout if generates else config.rollout.model_copy(update={"workers": 0})
    sandboxes = config.pool if judges else config.pool.model_copy(update={"workers": 0})
    cluster = connect(placement, rollout, sandboxes)
    try:
        places = reserve(placement, rollout, sandboxes, cluster.gpu)
        try:
            with collect_logs(log):
                fleet = pool = None
                if generates:
                    fleet = RolloutFleet.create(rollout, cluster.gpu, places.rollout)
                if judges:
                    pool = SandboxPool.create(config.sandbox, sandboxes, "eval", places.sandbox)
                backend = "nccl" if cluster.gpu else "gloo"
                yield EvaluationActors(config, fleet, pool, places, backend)
        finally:
            places.release()
    finally:
        ray.shutdown()
