"""PPO under the FGO mask (StepCoder, section 3; DESIGN of the update: one batch of trajectories ->
new weights).
"""

import logging
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from learner.algorithm.experience import (
    Experience,
    Scores,
    logprob_differences,
    make_experience,
    make_masks,
)
from learner.algorithm.objective import Tokens, policy_objective, step_scales, value_objective
from learner.config import LearnerConfig
from learner.models.actor_critic import ActorCritic
from learner.models.batch import Step, TokenBatch, idle_share, plan_epoch, token_batch
from learner.nonfinite import FaultLog, LogprobMismatchError, NonFiniteError
from learner.tokenizer import token_bytes
from learner.trajectory import Trajectory, TrajectoryGroup
from learner.update_metrics import Tally
from learner.zero import checkpoint
from learner.zero.distributed import max_over_ranks, sum_over_ranks
from learner.zero.engine import NonFiniteGradientError

logger = logging.getLogger("stepcoder.learner")

LOGPROB_DIFF_LIMIT = {torch.float32: 1e-4, torch.bfloat16: 0.5}
"""What rollout engine and trainer may differ by, in nats, where the configuration says nothing."""


class PPOLearner(ActorCritic):
    """Policy, critic and reference of one rank, and the masked PPO update.

    One process per rank, all constructed with the same arguments and called alike: every method is
    collective.

        groups --score--> old log-probs, reference, values --advantage--> Experience
            --epochs x minibatches x micro-batches--> policy and critic steps --> metrics

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
        faults: Path = Path("faults"),
    ) -> None:
        super().__init__(config, model_dir, rollout_temperature)
        self._faults = FaultLog(faults, self._rank, token_bytes(self._tokenizer))
        self.updates = 0
        """Updates done since the run began, counted through checkpoints."""

    def update(
        self, groups: Sequence[TrajectoryGroup], weight_version: int | None = None
    ) -> dict[str, float]:
        """Learn from one batch; every rank gets the whole batch and takes its share.

        The result depends on the set of trajectories and on how they are grouped, not on their
        order: they are taken in the order of their sample ids.

        Args:
            groups: the batch, one group for each prompt.
            weight_version: of the weights that the rollout fleet was sent last, to tell stale
                samples from fresh ones; None takes all for fresh.

        Returns:
            Metrics, the same on every rank: losses and KL are means per token, times are in
            seconds.

        Raises:
            ValueError: the batch is empty, an id occurs twice, or a token is outside the
                vocabulary.
            NonFiniteError: a number is not finite; names the optimizer step, micro-batch and
                samples, which are written to the folder `faults`.
            LogprobMismatchError: the alarm `logprob_diff_alarm: raise` went off.
        """
        started = time.perf_counter()
        trajectories, group_of = self._flattened(groups)
        lengths = [len(t.token_ids) for t in trajectories]
        first_epoch = self._plan(lengths, epoch=0)
        batches = [self._token_batches(step, trajectories) for step in first_epoch]
        masks = make_masks(trajectories, self._config, self.updates, self._device)
        scores = self._score(first_epoch, batches, trajectories, masks.response)
        differences = logprob_differences(trajectories, scores, masks.response, weight_version)
        self._compare(differences["rollout_trainer_logprob_diff"])
        experience = make_experience(trajectories, group_of, masks, scores, self._config)
        scored = time.perf_counter()

        tally = Tally(self._device)
        learned = policy_learns = self._policy_learns()
        for epoch in range(self._config.epochs):
            steps = self._plan(lengths, epoch) if epoch else first_epoch
            if epoch:
                batches = [self._token_batches(step, trajectories) for step in steps]
            for step, micro_batches in zip(steps, batches, strict=True):
                if not policy_learns and self._critic is None:
                    break
                kl = self._optimizer_step(
                    step, micro_batches, experience, trajectories, tally, policy_learns
                )
                policy_learns &= self._config.kl_stop is None or kl <= self._config.kl_stop
        self.updates += 1
        finished = time.perf_counter()
        return {
            **experience.metrics,
            **differences,
            **tally.metrics(critic=self._critic is not None),
            "idle_share": idle_share(first_epoch, lengths, self._world_size),
            "policy_lr": self._config.policy.lr if learned else 0.0,
            "critic_lr": self._config.critic.lr if self._critic else 0.0,
            "seconds_score": scored - started,
            "seconds_train": finished - scored,
            "seconds": finished - started,
        }

    def _policy_learns(self) -> bool:
        return self._critic is None or self.updates >= self._config.critic_warmup_steps

    def _flattened(self, groups: Sequence[TrajectoryGroup]) -> tuple[list[Trajectory], Tensor]:
        """All trajectories in the order of their sample ids, and the number of each one's group
        [samples].
        """
        if not groups:
            raise ValueError("an update needs at least one trajectory")
        numbered = [(t, number) for number, group in enumerate(groups) for t in group.trajectories]
        numbered.sort(key=lambda entry: entry[0].sample_id)
        ordered = [trajectory for trajectory, _ in numbered]
        for before, after in pairwise(ordered):
            if before.sample_id == after.sample_id:
                raise ValueError(f"sample {after.sample_id} is in the batch twice")
        for trajectory in ordered:
            highest = max(trajectory.token_ids)
            if highest >= self._vocabulary:
                raise ValueError(
                    f"sample {trajectory.sample_id}: token {highest} is outside the model's "
                    f"vocabulary of {self._vocabulary}: the tokenizer does not fit the model"
                )
        return ordered, torch.tensor([number for _, number in numbered], device=self._device)

    def _plan(self, lengths: Sequence[int], epoch: int) -> list[Step]:
        config = self._config
        seed = f"{config.seed}/{self.updates}/{epoch}"
        return plan_epoch(
            lengths, config.minibatch_size, config.token_budget, self._rank, self._world_size, seed
        )

    def _token_batches(self, step: Step, trajectories: Sequence[Trajectory]) -> list[TokenBatch]:
        return [
            token_batch(
                [trajectories[i].token_ids for i in samples],
                [len(trajectories[i].prompt_ids) for i in samples],
                self._device,
            )
            for samples in step.micro_batches
        ]

    def _score(
        self,
        steps: Sequence[Step],
        batches: Sequence[Sequence[TokenBatch]],
        trajectories: Sequence[Trajectory],
        response: Tensor,
    ) -> Scores:
        """Every model in one pass, in the micro-batches of the first epoch: the first ratios are
        exactly 1.
        """
        table = torch.zeros(4, *response.shape, device=self._device)
        for step, micro_batches in zip(steps, batches, strict=True):
            for samples, batch in zip(step.micro_batches, micro_batches, strict=True):
                rows = torch.tensor(samples, dtype=torch.long, device=self._device)
                block = torch.zeros(4, len(samples), response.shape[1], device=self._device)
                block[:, response[rows]] = self._scores(batch)
                table[:, rows] = block
        # Every sample was scored on one rank and is zero on the others.
        sum_over_ranks(table)
        bad = (~torch.isfinite(table).all(0).all(-1)).nonzero()[:, 0].tolist()
        if bad:
            what = "log-probabilities or values are not finite"
            wrong = [trajectories[i] for i in bad]
            names = ("old_logprob", "reference_logprob", "entropy", "value")
            tables = {name: part[bad] for name, part in zip(names, table, strict=True)}
            facts = {"fault": what, "update": self.updates}
            where = self._faults.write(facts, wrong, tables) if self._rank == 0 else ""
            raise NonFiniteError(
                f"update {self.updates}: {what} for samples "
                f"{', '.join(str(t.sample_id) for t in wrong)}: the weights are broken{where}"
            )
        values = None if self._critic is None else table[3]
        return Scores(table[0], table[1], table[2], values)

    def _compare(self, difference: float) -> None:
        """The alarm: the engine that sampled and this trainer disagree on fresh samples."""
        config = self._config
        limit = config.logprob_diff_limit or LOGPROB_DIFF_LIMIT[self._dtype]
        if difference <= limit or config.logprob_diff_alarm == "off":
            return
        message = (
            f"update {self.updates}: a token's log-probability by the rollout engine is "
            f"{difference:.3g} nats from the trainer's, the limit is {limit:g} "
            f"(logprob_diff_limit): the engine holds other weights, samples at another temperature "
            f"than {self._temperature:g}, or computes in another precision"
        )
        if config.logprob_diff_alarm == "raise":
            raise LogprobMismatchError(message)
        if self._rank == 0:
            logger.warning(message)

    def _optimizer_step(
        self,
        step: Step,
        micro_batches: Sequence[TokenBatch],
        experience: Experience,
        trajectories: Sequence[Trajectory],
        tally: Tally,
        policy_learns: bool,
    ) -> float:
        """One step of critic and policy, exactly normalised by the tokens of all micro-batches on
        all ranks; returns the policy's KL to the old one before the step.
        """
        config = self._config
        everyone = torch.tensor(step.samples, device=self._device)
        scales = step_scales(experience.masks, everyone, self._world_size)
        # Loss and largest gradient of policy and critic, per micro-batch.
        figures = torch.zeros(len(micro_batches), 2, 2, device=self._device)
        broken: list[list[Tensor | None]] = [[] for _ in micro_batches]
        for number, (samples, batch) in enumerate(
            zip(step.micro_batches, micro_batches, strict=True)
        ):
            rows = torch.tensor(samples, dtype=torch.long, device=self._device)
            tokens = Tokens(rows, experience.masks.response[rows])
            if policy_learns:
                found = self._policy(
                    batch,
                    self._temperature,
                    config.logprob_chunk,
                    entropy=config.entropy_coefficient > 0,
                )
                loss, surrogate = policy_objective(*found, tokens, experience, config, scales)
                figures[number, 0, 1] = self._policy.backward(loss)
                figures[number, 0, 0] = loss.detach()
                broken[number].append(self._policy.module.watch.broken)
                tally.add_surrogate(surrogate)
            if self._critic is not None:
                loss = value_objective(self._critic(batch), tokens, experience, config, scales)
                figures[number, 1, 1] = self._critic.backward(loss)
                figures[number, 1, 0] = loss.detach()
                broken[number].append(self._critic.module.watch.broken)

        bad = ~torch.isfinite(figures).flatten(1).all(1)
        if max_over_ranks(bad.any().float()):
            where = f"update {self.updates}, optimizer step {tally.steps}"
            facts = {"update": self.updates, "optimizer_step": tally.steps, "rank": self._rank}
            faults = self._faults.micro_batches(
                facts, bad, figures, broken, step.micro_batches, trajectories, experience
            )
            raise NonFiniteError(f"{where}: {faults}")
        norms = [0.0, 0.0]
        try:
            if policy_learns:
                norms[0] = self._policy.step(config.policy.lr)
            if self._critic is not None:
                norms[1] = self._critic.step(config.critic.lr)
        except NonFiniteGradientError as error:
            names = ", ".join(str(trajectories[i].sample_id) for i in step.samples)
            raise NonFiniteError(
                f"update {self.updates}, optimizer step {tally.steps}: the sum of all "
                f"micro-batches' gradients overflows, samples {names}"
            ) from error
        losses = figures[:, :, 0].sum(0) / self._world_size
        return tally.add_step(losses, norms, scales.policy_tokens if policy_learns else 0)

    def save_checkpoint(self, folder: Path) -> None:
        """Write the engines, every rank's random state and the update counter into `folder`."""
        state = {"updates": self.updates}
        checkpoint.save(Path(folder), self._engines(), self._config, state)

    def load_checkpoint(self, folder: Path) -> None:
        """Continue as if never stopped.

        Raises:
            CheckpointError: damaged, or of another number of ranks, ZeRO stage, architecture or
                configuration.
        """
        state = checkpoint.load(Path(folder), self._engines(), self._config)
        self.updates = state["updates"]
