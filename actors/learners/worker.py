"""LearnerWorker: one DeepSpeed rank in a Ray actor."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ray

from actors.cluster.ports import free_port
from actors.errors import ActorLost, RunFailed
from actors.models.fetch import model_folder
from actors.runs.logs import forward_logs
from actors.weights.environment import NO_GPU, check_allocator, nccl_env
from actors.weights.targets import BroadcastTargets
from learner.config import LearnerConfig
from learner.models.source import ModelSource
from learner.plan.shares import GroupFacts, Share, read


def learner_env(threads: int, gpu: bool) -> dict[str, str]:
    """Environment of a learner process, set before torch is imported.

    Called on the driver, whose NCCL variables every process with a GPU gets.
    """
    env = {
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "OMP_NUM_THREADS": str(threads),
    }
    if gpu:
        return env | nccl_env(os.environ)
    # A DeepSpeed JIT build or a spinning OpenMP thread would cost more than the whole update.
    return env | NO_GPU | {"DS_ACCELERATOR": "cpu", "OMP_WAIT_POLICY": "passive"}


class LearnerWorker:
    """One rank of the learner.

    Lifecycle: `start()` joins the ranks and loads policy, critic and reference; then `update()` and
    `broadcast()` alternate. Every rank takes part in every call, because most calls contain
    collectives.
    """

    def __init__(
        self, rank: int, world_size: int, colocated: bool, hands_over: bool = False
    ) -> None:
        """Prepare rank `rank` of `world_size`; `start` loads it.

        Args:
            rank: of this process.
            world_size: number of ranks.
            colocated: whether an engine uses this GPU while this rank does nothing.
            hands_over: whether the optimizer state is on the host while the engine has the GPU.
        """
        forward_logs(f"learner-{rank}")
        self.colocated = colocated
        self.hands_over = hands_over
        self.rank = rank
        self.world_size = world_size
        self._loaded: Any = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._written: Future[None] | None = None
        """What writes a checkpoint, until it was told how that ended."""
        self._sender: Any = None
        self._engines: tuple[tuple[str, int], ...] = ()
        self._version: int | None = None
        """Version of the last broadcast, and so of the weights the next samples come from."""

    def __repr__(self) -> str:
        """What Ray's dashboard shows; it asks once, after `__init__`."""
        return f"learner rank {self.rank} of {self.world_size}"

    def address(self) -> str:
        """This node's address and a free port; rank 0's is where all ranks join."""
        return f"{ray.util.get_node_ip_address()}:{free_port()}"

    def start(
        self,
        config: LearnerConfig,
        model: ModelSource,
        temperature: float,
        faults: str,
        master: str,
    ) -> dict[str, str]:
        """Join the ranks and load the models; returns the versions of packages in this process.

        Args:
            config: what to learn with.
            model: what policy, critic and reference start from.
            temperature: of the sampling, which the log-probabilities must be scaled by.
            faults: folder for the samples of an update that became non-finite.
            master: rank 0's `address()`.

        Raises:
            RunFailed: this node cannot fetch the model, or its memory cannot be shared with the
                engine on its GPU.
        """
        import deepspeed
        import torch

        if self.colocated and torch.cuda.is_available():
            check_allocator(os.environ)
        from learner.ppo import PPOLearner
        from learner.zero.distributed import init_distributed

        host, port = master.rsplit(":", 1)
        init_distributed(self.rank, self.world_size, host, int(port))
        folder, trust = model_folder(model), model.trust_remote_code
        self._loaded = PPOLearner(config, folder, temperature, Path(faults), trust)
        self._give_memory()
        return {"deepspeed": deepspeed.__version__, "torch": torch.__version__}

    @property
    def _learner(self) -> Any:
        """What `start` loaded; `ActorLost` where Ray restarted this process since."""
        if self._loaded is None:
            raise ActorLost(f"learner-{self.rank} died and holds no weights")
        return self._loaded

    def update(
        self, facts: Sequence[GroupFacts], share: Share, record: Collection[int]
    ) -> tuple[dict[str, float], bytes]:
        """One PPO update, from what every rank is told of the batch and this rank's share.

        Returns:
            The metrics, and on rank 0 the values of the tokens of the samples `record`, packed
            (`learner.algorithm.token_values`).
        """
        from learner.algorithm.token_values import pack_values

        if self.hands_over:
            self._learner.take_optimizer_state()
        metrics = self._learner.learn(read(facts, share), self._version, record)
        self._give_memory()
        recorded = self._learner.recorded
        return metrics, pack_values(recorded) if recorded else b""

    def _give_memory(self) -> None:
        """Leave the GPU to the engine that wakes up into it."""
        if self.hands_over:
            self._learner.give_optimizer_state()
        if self.colocated:
            import torch

            torch.cuda.empty_cache()  # torch keeps freed memory for itself

    def broadcast(self, version: int, targets: BroadcastTargets) -> int:
        """Send the policy's weights to the engines of `targets` as `version`; returns the bytes.

        Reopens the broadcast group if its engines changed.

        Raises:
            RunFailed: an engine was lost or missed the deadline. No engine of `targets` can be
                trusted then: each may hold the old weights, the new ones or a part of them.
        """
        from actors.weights.sender import BROADCAST_ERRORS, open_sender, send
        from actors.weights.source import LearnerSource

        source = LearnerSource(self._learner)
        try:
            if self._sender is None or self._engines != targets.engines:
                self._leave_group()  # before the engines join another
                self._sender = open_sender(targets, source, self.rank)
                self._engines = targets.engines
            self._version = version
            return send(self._sender, version)
        except BROADCAST_ERRORS as error:
            self._leave_group()  # one in which a broadcast failed cannot be used again
            raise RunFailed(
                f"weight broadcast of version {version} to {targets}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _leave_group(self) -> None:
        """Destroy the broadcast group, if there is one."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.shutdown()

    def token_logprobs(self, sequences: list[list[int]]) -> list[list[float]]:
        """Log-probability of each token from the second on: the learner's half of the weight
        parity check [nats].
        """
        return self._learner.token_logprobs(sequences)

    def begin_checkpoint(self, folder: str, policy: str | None, background: bool) -> None:
        """Begin to write this rank's part of a checkpoint; `checkpoint_written` tells when it ends.

        Args:
            folder: of the learner's part.
            policy: where the policy is written as a Hugging Face folder, if anywhere.
            background: whether a copy in the host's memory is written while other calls run; else
                it is written now.
        """
        if not background:
            self._learner.save_checkpoint(Path(folder))
            if policy:
                self._learner.save_pretrained(Path(policy))
            return
        writing = self._learner.begin_checkpoint(Path(folder))
        if policy:
            writing.add(self._learner.begin_save_pretrained(Path(policy)))

        def write() -> None:
            writing.write()
            writing.finish()

        self._written = self._writer.submit(write)

    def checkpoint_written(self) -> bool:
        """Whether nothing of the last checkpoint is left to be written; raises what failed."""
        if self._written is None:
            return True
        if self._written.done():
            written, self._written = self._written, None
            written.result()
        return self._written is None

    def load_checkpoint(self, folder: str) -> int:
        """Continue from a checkpoint; returns the updates done before it."""
        if self.hands_over:
            self._learner.take_optimizer_state()
        self._learner.load_checkpoint(Path(folder))
        self._give_memory()
        return self._learner.updates

    def save_pretrained(self, folder: str) -> None:
        """Write the policy as a Hugging Face folder."""
        self._learner.save_pretrained(Path(folder))
