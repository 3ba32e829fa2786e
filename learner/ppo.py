"""PPO with the FGO mask (StepCoder, sections 3.1 and 3.3): from a batch of trajectories to new
weights.
"""

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from learner.actor_critic import ActorCritic
from learner.algorithm.experience import (
    Experience,
    batch_metrics,
    make_experience,
    make_masks,
    needs_scores,
)
from learner.algorithm.lr_schedule import lr_shares
from learner.algorithm.objective import Tokens, policy_objective, step_scales, value_objective
from learner.algorithm.token_values import TokenValues, token_values
from learner.config import LearnerConfig
from learner.errors import ModelError, NonFiniteError
from learner.models.batch import BrokenGradient, TokenBatch
from learner.plan.epoch import SampleSizes, Step, epoch_seed, idle_share, plan_epoch
from learner.plan.shares import Batch, whole_batch
from learner.tokenizer import token_bytes
from learner.trajectory import Sampled, TrajectoryGroup
from learner.update.metrics import UpdateMetrics
from learner.update.nonfinite import FaultDump
from learner.update.scores import ScoreTable, check_rollout_logprobs
from learner.zero import checkpoint
from learner.zero.distributed import max_over_ranks
from learner.zero.engine import NonFiniteGradientError
from learner.zero.export import write_description

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Gradient:
    """What is known of the accumulated gradient of one optimizer step on one rank."""

    figures: Tensor
    """[micro-batches, (policy, critic), (loss, largest gradient norm)]."""
    broken: Sequence[Sequence[BrokenGradient]]
    """For each micro-batch and model which tokens' gradient is not finite (`TokenWatch`)."""
    policy_learns: bool
    policy_tokens: int
    """Tokens in the policy loss over all ranks; 0 if the policy does not learn."""


class PPOLearner(ActorCritic):
    """Policy, critic and reference of one rank, and the masked PPO update.

    There is one process per rank. All are constructed with the same arguments and call the same
    methods in the same order: every method is collective.

        groups --score--> old log-probs, reference, values --advantage--> Experience
            --epochs x minibatches x micro-batches--> policy and critic steps --> metrics

    Args:
        config: of model, optimizers and update.
        model_dir: Hugging Face folder of the policy to start from.
        rollout_temperature: at which the rollout engines sample.
        fault_dir: where samples that broke an update are written.
        trust_remote_code: whether Python files in `model_dir` may run.

    Raises:
        ModelError: `model_dir` holds no model, one that is not supported, or one that does not fit
            its tokenizer or the configuration.
        ValueError: the learning rate decays, but the configuration does not say until when; or
            the configuration needs the length of the longest response and does not name it.

    Example:
        learner = PPOLearner(LearnerConfig(), Path("sft"), rollout_temperature=1.0)
        metrics = learner.update(groups)
        for name, weight in learner.named_weights(): ...
    """

    def __init__(
        self,
        config: LearnerConfig,
        model_dir: Path,
        rollout_temperature: float,
        fault_dir: Path = Path("faults"),
        trust_remote_code: bool = False,
    ) -> None:
        if config.lr_schedule.kind != "constant" and config.lr_schedule.updates is None:
            raise ValueError(
                f"lr_schedule.kind {config.lr_schedule.kind} needs lr_schedule.updates, the number "
                "of updates after which the decay ends"
            )
        needs_limit = config.truncated == "penalise" or config.normalisation == "constant"
        if needs_limit and config.max_response_tokens is None:
            raise ValueError(
                "truncated penalise and normalisation constant need max_response_tokens, the "
                "length of the longest response"
            )
        super().__init__(config, model_dir, rollout_temperature, trust_remote_code)
        self._dump = FaultDump(fault_dir, self._rank, token_bytes(self._tokenizer))
        self.updates = 0
        """Updates since the start of the run; checkpoints carry the count."""
        self.recorded: dict[int, TokenValues] = {}
        """Values of single tokens of the last update, by sample id, as far as they were asked for;
        on rank 0.
        """

    def update(
        self,
        groups: Sequence[TrajectoryGroup],
        weight_version: int | None = None,
        record: Collection[int] = (),
    ) -> dict[str, float]:
        """As `learn`, from a batch of which every rank is given all tokens."""
        return self.learn(whole_batch(groups), weight_version, record)

    def learn(
        self, batch: Batch, weight_version: int | None = None, record: Collection[int] = ()
    ) -> dict[str, float]:
        """Learn from one batch, of which this rank needs the tokens of its share.

        Trajectories are processed in the order of their sample ids, so their order in the batch
        changes nothing.

        Args:
            batch: the same on every rank but for the tokens that it holds.
            weight_version: of the weights that the rollout fleet received last; samples of older
                versions are stale. None treats every sample as fresh.
            record: ids of the samples whose `TokenValues` go to `recorded`; they are copies of
                what the update computes anyway.

        Returns:
            Metrics, the same on every rank: losses and KL are means per token, times are in
            seconds.

        Raises:
            ValueError: the batch is empty, or a sample id occurs twice.
            ModelError: a token is outside the vocabulary.
            NonFiniteError: a number is not finite; names the optimizer step, micro-batch and
                samples, which are written to `fault_dir`.
            LogprobMismatchError: the rollout engine's log-probabilities are further from the
                trainer's than the limit, and `logprob_diff_alarm` is `raise`.
        """
        started = time.perf_counter()
        self._check_vocabulary(batch)
        sizes, samples = batch.sizes, batch.samples
        first_epoch = self._plan(sizes, epoch=0)
        batches = [self._token_batches(step, batch) for step in first_epoch]
        masks = make_masks(samples, self._config, self.updates, self._device)
        table = ScoreTable(samples, masks.response, self._config)
        # The first step scores its samples while it learns, if nothing needs their scores before.
        unscored = self._learning_scores()
        ahead = 1 if unscored else 0
        self._score(first_epoch[ahead:], batches[ahead:], table)
        groups = torch.tensor(batch.groups, device=self._device)
        experience = make_experience(samples, groups, masks, table.scores, self._config)
        of_batch: dict[str, float] = {}
        if not unscored:
            of_batch = self._describe(samples, table, experience, weight_version, record)
        scored = time.perf_counter()

        policy_share, critic_share = shares = lr_shares(self._config, self.updates)
        metrics = UpdateMetrics(self._device)
        policy_learned = policy_learns = self._policy_learns()
        for epoch in range(self._config.epochs):
            steps = self._plan(sizes, epoch) if epoch else first_epoch
            if epoch:
                batches = [self._token_batches(step, batch) for step in steps]
            for step, micro_batches in zip(steps, batches, strict=True):
                if not policy_learns and self._critic is None:
                    break
                gradient = self._gradient(
                    step, micro_batches, experience, metrics, policy_learns,
                    table if unscored else None,
                )  # fmt: skip
                if unscored:
                    self._exchange(table, [step])
                    of_batch = self._describe(samples, table, experience, weight_version, record)
                    unscored = False
                kl = self._take_step(
                    step, micro_batches, gradient, samples, experience, metrics, shares
                )
                policy_learns &= self._config.kl_stop is None or kl <= self._config.kl_stop
        if not metrics.steps:
            raise NonFiniteError(
                f"update {self.updates}: not one of its {metrics.skipped} optimizer steps is "
                "finite: go on from the last checkpoint with a lower learning rate"
            )
        self.updates += 1
        finished = time.perf_counter()
        return {
            **of_batch,
            **metrics.reduce(critic=self._critic is not None),
            "idle_share": idle_share(first_epoch, self._world_size),
            "policy_lr": self._config.policy.lr * policy_share if policy_learned else 0.0,
            "critic_lr": self._config.critic.lr * critic_share if self._critic else 0.0,
            "seconds_score": scored - started,
            "seconds_train": finished - scored,
            "seconds": finished - started,
        }

    def _policy_learns(self) -> bool:
        return self._critic is None or self.updates >= self._config.critic_warmup_steps

    def _check_vocabulary(self, batch: Batch) -> None:
        for trajectory, highest in zip(batch.samples, batch.highest_tokens, strict=True):
            if highest >= self._vocabulary:
                raise ModelError(
                    f"sample {trajectory.sample_id}: token {highest} is outside the model's "
                    f"vocabulary of {self._vocabulary}: the tokenizer does not fit the model; use "
                    "the tokenizer that the model was trained with"
                )

    def _plan(self, sizes: SampleSizes, epoch: int) -> list[Step]:
        config = self._config
        seed = epoch_seed(config.seed, self.updates, epoch)
        return plan_epoch(
            sizes, config.minibatch_size, config.token_budget, self._rank, self._world_size, seed
        )

    def _learning_scores(self) -> bool:
        """Whether the samples of an update's first step are scored by the forward pass that they
        are learned from, which saves one without gradient."""
        # With adapters the reference is the policy with other weights.
        reference = not self._config.kl_coefficient or self._reference is not None
        # A batch that the alarm may refuse must not leave its gradient behind for the next.
        refusable = self._config.logprob_diff_alarm == "raise"
        return not needs_scores(self._config) and reference and not refusable

    def _score(
        self,
        steps: Sequence[Step],
        batches: Sequence[Sequence[TokenBatch]],
        table: ScoreTable,
    ) -> None:
        """Enter the scores of some steps' samples, computed in the micro-batches that they are
        learned from: the ratios of the first step are exactly 1.
        """
        for step, micro_batches in zip(steps, batches, strict=True):
            for rows, batch in zip(step.micro_batches, micro_batches, strict=True):
                table.fill(rows, self._scores(batch))
        self._exchange(table, steps)

    def _exchange(self, table: ScoreTable, steps: Sequence[Step]) -> None:
        samples = [sample for step in steps for sample in step.samples]
        own = [sample for step in steps for rows in step.micro_batches for sample in rows]
        table.exchange(samples, own, self._dump, self.updates)

    def _describe(
        self,
        samples: Sequence[Sampled],
        table: ScoreTable,
        experience: Experience,
        weight_version: int | None,
        record: Collection[int],
    ) -> dict[str, float]:
        """Metrics of the batch before the update, the alarm of its log-probabilities, and the
        values of the samples that are recorded. Every score is known."""
        differences = table.compare_with_engines(weight_version)
        warning = check_rollout_logprobs(
            differences, self._config, self._dtype, f"update {self.updates}", self._temperature
        )
        if warning is not None and self._rank == 0:
            logger.warning(warning)
        self.recorded = {}
        if self._rank == 0 and record:
            self.recorded = token_values(samples, experience, self._config, self.updates, record)
        return {**batch_metrics(samples, experience, self._config), **differences}

    def _gradient(
        self,
        step: Step,
        micro_batches: Sequence[TokenBatch],
        experience: Experience,
        metrics: UpdateMetrics,
        policy_learns: bool,
        table: ScoreTable | None,
    ) -> _Gradient:
        """Accumulate the gradients of one optimizer step of critic and policy.

        Losses are normalised by the token count of all micro-batches on all ranks. `table` takes
        the scores of samples that have none yet.
        """
        config = self._config
        step_samples = torch.tensor(step.samples, device=self._device)
        scales = step_scales(experience.masks, step_samples, self._world_size, config)
        figures = torch.zeros(len(micro_batches), 2, 2, device=self._device)
        broken: list[list[BrokenGradient]] = [[] for _ in micro_batches]
        for number, (samples, batch) in enumerate(
            zip(step.micro_batches, micro_batches, strict=True)
        ):
            rows = torch.tensor(samples, dtype=torch.long, device=self._device)
            tokens = Tokens(rows, experience.masks.response[rows])
            if policy_learns:
                reference = None if table is None else self._reference_logprobs(batch)
                outputs = self._policy(
                    batch,
                    self._temperature,
                    config.logprob_chunk,
                    entropy=config.entropy_coefficient > 0 or table is not None,
                )
                if table is not None:
                    table.fill(samples, self._stacked(outputs, reference, None))
                loss, surrogate = policy_objective(*outputs, tokens, experience, config, scales)
                figures[number, 0, 1] = self._policy.backward(loss)
                figures[number, 0, 0] = loss.detach()
                broken[number].append(self._policy.module.watch.broken)
                metrics.add_policy_loss(surrogate)
            if self._critic is not None:
                loss = value_objective(self._critic(batch), tokens, experience, config, scales)
                figures[number, 1, 1] = self._critic.backward(loss)
                figures[number, 1, 0] = loss.detach()
                broken[number].append(self._critic.module.watch.broken)
        policy_tokens = scales.policy_tokens if policy_learns else 0
        return _Gradient(figures, broken, policy_learns, policy_tokens)

    def _take_step(
        self,
        step: Step,
        micro_batches: Sequence[TokenBatch],
        gradient: _Gradient,
        samples: Sequence[Sampled],
        experience: Experience,
        metrics: UpdateMetrics,
        shares: tuple[float, float],
    ) -> float:
        """The optimizer step of critic and policy; returns the policy's mean KL to the old one
        before it, in nats per token. Numbers are checked on every rank and for both models before
        any of them takes the step.
        """
        figures = gradient.figures
        bad = ~torch.isfinite(figures).flatten(1).all(1)
        broken_step = bool(max_over_ranks(bad.any().float()))
        if broken_step:
            position = f"update {self.updates}, optimizer step {metrics.steps}"
            facts = {"update": self.updates, "optimizer_step": metrics.steps, "rank": self._rank}
            faults = self._dump.micro_batches(
                facts, bad, figures, gradient.broken, step.micro_batches, micro_batches, samples,
                experience,
            )  # fmt: skip
            self._stop_or_warn(f"{position}: {faults}")
        norms = [0.0, 0.0]
        policy = self._policy if gradient.policy_learns else None
        for model, engine in enumerate((policy, self._critic)):
            try:
                norms[model] = 0.0 if engine is None else engine.step(shares[model])
            except NonFiniteGradientError:
                broken_step = True
                names = ", ".join(str(samples[i].sample_id) for i in step.samples)
                self._stop_or_warn(
                    f"update {self.updates}, optimizer step {metrics.steps}: the sum of all "
                    f"micro-batches' gradients overflows, samples {names}"
                )
        if broken_step:
            metrics.skip_step()
            return 0.0
        losses = figures[:, :, 0].sum(0) / self._world_size
        return metrics.add_step(losses, norms, gradient.policy_tokens)

    def _stop_or_warn(self, message: str) -> None:
        """Raise what is wrong with an optimizer step, or log it where such steps are skipped."""
        if self._config.non_finite == "stop":
            raise NonFiniteError(message)
        if self._rank == 0:
            logger.warning("%s; skipped (learner.non_finite)", message)

    def save_checkpoint(self, folder: Path) -> None:
        """Write the engines, every rank's random state, the update counter, and what describes the
        policy (`learner.zero.consolidated`) into `folder`.
        """
        checkpoint.save(self.begin_checkpoint(folder, copy=False))

    def begin_checkpoint(self, folder: Path, copy: bool = True) -> checkpoint.Writing:
        """As `save_checkpoint`, but what is returned writes this rank's part, by default from a
        copy in the host's memory: updates may go on meanwhile, in another thread.
        """
        state = {"updates": self.updates}
        writing = checkpoint.begin(Path(folder), self._engines(), self._config, state, copy)
        if self._rank == 0:
            place = Path(folder) / checkpoint.DESCRIPTION
            writing.add(partial(write_description, place, self._model, self._tokenizer))
        return writing

    def load_checkpoint(self, folder: Path) -> None:
        """Restore what `save_checkpoint` wrote; the following updates are the same bit for bit.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or was written with another number
                of ranks, ZeRO stage, architecture or configuration.
        """
        state = checkpoint.load(Path(folder), self._engines(), self._config)
        self.updates = state["updates"]
