"""PPO under the FGO mask (StepCoder, section 3; DESIGN of the update: one batch of trajectories ->
new weights).
"""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer

from learner import checkpoint
from learner.batch import Step, TokenBatch, plan_epoch, plan_step, token_batch
from learner.config import LearnerConfig
from learner.distributed import (
    device,
    ensure_distributed,
    max_over_ranks,
    sum_over_ranks,
    torch_dtype,
)
from learner.engine import Engine, NonFiniteGradientError
from learner.experience import Experience, Scores, make_experience, make_masks
from learner.loss import policy_loss, value_loss
from learner.model import load_critic, load_policy, write_pretrained
from learner.tally import Tally
from learner.trajectory import Trajectory


class NonFiniteError(ArithmeticError):
    """A loss, gradient or log-probability is NaN or infinite. Go on from the last checkpoint."""


class PPOLearner:
    """Policy, critic and reference of one rank, and the masked PPO update.

    One process per rank, all constructed with the same arguments and called alike: every method is
    collective.

        trajectories --score--> old log-probs, reference, values --GAE--> Experience
            --epochs x minibatches x micro-batches--> policy and critic steps --> metrics

    Example:
        learner = PPOLearner(LearnerConfig(), Path("sft"), rollout_temperature=1.0)
        metrics = learner.update(trajectories)
        for name, weight in learner.named_weights(): ...

    Raises:
        FileNotFoundError: `model_dir` holds no model.
    """

    def __init__(self, config: LearnerConfig, model_dir: Path, rollout_temperature: float) -> None:
        self._rank, self._world_size = ensure_distributed()
        self._config = config
        self._model_dir = Path(model_dir)
        self._temperature = rollout_temperature
        self._device = device()
        self.updates = 0
        """Updates done since the run began, counted through checkpoints."""
        dtype = torch_dtype(config.dtype)
        policy = load_policy(self._model_dir, dtype)
        self._vocabulary = policy.model.get_input_embeddings().weight.shape[0]
        self._model = policy.model
        self._policy = Engine(policy, config.policy, config.zero, dtype)
        critic = load_critic(self._model_dir, dtype, config.critic_layers)
        self._critic = Engine(critic, config.critic, config.zero, dtype)
        self._reference = load_policy(self._model_dir, dtype).requires_grad_(False)
        self._reference.to(self._device)

    def update(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Learn from one batch; every rank gets the whole batch and takes its share.

        The result depends on the set of trajectories, not on their order.

        Returns:
            Metrics, the same on every rank: losses and KL are means per token, times are in
            seconds.

        Raises:
            ValueError: the batch is empty, an id occurs twice, or a token is outside the
                vocabulary.
            NonFiniteError: a number is not finite; names the optimizer step, micro-batch and
                samples.
        """
        started = time.perf_counter()
        trajectories = self._checked(trajectories)
        lengths = [len(t.token_ids) for t in trajectories]
        first_epoch = self._plan(lengths, epoch=0)
        batches = [self._token_batches(step, trajectories) for step in first_epoch]
        masks = make_masks(trajectories, self._config.fgo, self._device)
        scores = self._score(first_epoch, batches, trajectories, masks.response)
        experience = make_experience(trajectories, masks, scores, self._config)
        scored = time.perf_counter()

        tally = Tally(self._device)
        for epoch in range(self._config.epochs):
            steps = self._plan(lengths, epoch) if epoch else first_epoch
            if epoch:
                batches = [self._token_batches(step, trajectories) for step in steps]
            for step, micro_batches in zip(steps, batches, strict=True):
                self._optimizer_step(step, micro_batches, experience, trajectories, tally)
        self.updates += 1
        finished = time.perf_counter()
        return {
            **experience.metrics,
            **tally.metrics(),
            "policy_lr": self._config.policy.lr if self._policy_learns(self.updates - 1) else 0.0,
            "critic_lr": self._config.critic.lr,
            "seconds_score": scored - started,
            "seconds_train": finished - scored,
            "seconds": finished - started,
        }

    def _policy_learns(self, update: int) -> bool:
        return update >= self._config.critic_warmup_steps

    def _checked(self, trajectories: Sequence[Trajectory]) -> list[Trajectory]:
        if not trajectories:
            raise ValueError("an update needs at least one trajectory")
        ordered = sorted(trajectories, key=lambda t: t.sample_id)
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
        return ordered

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

    @torch.no_grad()
    def _score(
        self,
        steps: Sequence[Step],
        batches: Sequence[Sequence[TokenBatch]],
        trajectories: Sequence[Trajectory],
        response: Tensor,
    ) -> Scores:
        """All three models in one pass, in the micro-batches of the first epoch: the first ratios
        are exactly 1.
        """
        table = torch.zeros(4, *response.shape, device=self._device)
        chunk = self._config.logprob_chunk
        for step, micro_batches in zip(steps, batches, strict=True):
            for samples, batch in zip(step.micro_batches, micro_batches, strict=True):
                logprobs, entropies = self._policy(batch, self._temperature, chunk, entropy=True)
                reference, _ = self._reference(batch, self._temperature, chunk)
                values = self._critic(batch)
                rows = torch.tensor(samples, dtype=torch.long, device=self._device)
                block = torch.zeros(4, len(samples), response.shape[1], device=self._device)
                block[:, response[rows]] = torch.stack([logprobs, reference, values, entropies])
                table[:, rows] = block
        # Every sample was scored on one rank and is zero on the others.
        sum_over_ranks(table)
        bad = ~torch.isfinite(table).all(0).all(-1)
        if bad.any():
            names = [
                t.sample_id for t, is_bad in zip(trajectories, bad.tolist(), strict=True) if is_bad
            ]
            raise NonFiniteError(
                f"update {self.updates}: log-probabilities or values are not finite for samples "
                f"{', '.join(names)}: the weights are broken"
            )
        return Scores(*table)

    def _optimizer_step(
        self,
        step: Step,
        micro_batches: Sequence[TokenBatch],
        experience: Experience,
        trajectories: Sequence[Trajectory],
        tally: Tally,
    ) -> None:
        """One step of critic and policy, exactly normalised by the tokens of all micro-batches on
        all ranks.
        """
        config = self._config
        learns = self._policy_learns(self.updates)
        everyone = torch.tensor(step.samples, device=self._device)
        policy_scale = self._world_size / _count(experience.masks.policy[everyone])
        critic_scale = self._world_size / _count(experience.masks.response[everyone])
        losses = torch.zeros(len(micro_batches), 2, device=self._device)
        for number, (samples, batch) in enumerate(
            zip(step.micro_batches, micro_batches, strict=True)
        ):
            rows = torch.tensor(samples, dtype=torch.long, device=self._device)
            response = experience.masks.response[rows]

            def tokens(values: Tensor, rows: Tensor = rows, response: Tensor = response) -> Tensor:
                return values[rows][response]

            if learns:
                logprobs, _ = self._policy(batch, self._temperature, config.logprob_chunk)
                surrogate = policy_loss(
                    logprobs,
                    tokens(experience.old_logprobs),
                    tokens(experience.advantages),
                    tokens(experience.masks.policy),
                    config.clip_low,
                    config.clip_high,
                )
                loss = surrogate.total * policy_scale
                self._policy.backward(loss)
                losses[number, 0] = loss.detach()
                tally.add_ratios(surrogate.clipped, surrogate.max_deviation)
            values = self._critic(batch)
            loss = critic_scale * value_loss(
                values,
                tokens(experience.old_values),
                tokens(experience.returns),
                torch.ones_like(values, dtype=torch.bool),
                config.value_clip,
            )
            self._critic.backward(loss)
            losses[number, 1] = loss.detach()

        self._check_losses(losses, step, trajectories, tally.steps)
        norms = [0.0, 0.0]
        try:
            if learns:
                norms[0] = self._policy.step(config.policy.lr)
            norms[1] = self._critic.step(config.critic.lr)
        except NonFiniteGradientError as error:
            names = ", ".join(trajectories[i].sample_id for i in step.samples)
            raise NonFiniteError(
                f"update {self.updates}, optimizer step {tally.steps}: {error}, samples {names}"
            ) from error
        policy_tokens = experience.masks.policy[everyone].sum() if learns else 0
        tally.add_step(losses.sum(0) / self._world_size, norms, int(policy_tokens))

    def _check_losses(
        self, losses: Tensor, step: Step, trajectories: Sequence[Trajectory], number: int
    ) -> None:
        """Raise on every rank before anything is applied if a loss on any rank is not finite."""
        bad = ~torch.isfinite(losses).all(-1)
        if not max_over_ranks(bad.any().float()):
            return
        faults = [
            f"micro-batch {at} of rank {self._rank} "
            f"(samples {', '.join(trajectories[i].sample_id for i in step.micro_batches[at])})"
            for at in bad.nonzero()[:, 0].tolist()
        ]
        everywhere: list[list[str]] = [[] for _ in range(self._world_size)]
        torch.distributed.all_gather_object(everywhere, faults)
        named = "; ".join(fault for rank_faults in everywhere for fault in rank_faults)
        raise NonFiniteError(
            f"update {self.updates}, optimizer step {number}: the loss is not finite in {named}"
        )

    @torch.no_grad()
    def token_logprobs(
        self, sequences: Sequence[Sequence[int]], temperature: float = 1.0
    ) -> list[list[float]]:
        """Log-probability of every token but the first of each sequence, given the tokens before
        it.
        """
        lengths = list(map(len, sequences))
        plan = plan_step(range(len(sequences)), lengths, self._config.token_budget, 0, 1)
        found: list[list[float]] = [[] for _ in sequences]
        for samples in plan.micro_batches:
            batch = token_batch([sequences[i] for i in samples], [1] * len(samples), self._device)
            logprobs, _ = self._policy(batch, temperature, self._config.logprob_chunk)
            for sample, part in zip(samples, logprobs.split(batch.counts), strict=False):
                found[sample] = part.tolist()
        return found

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """(name, full tensor) of every policy weight under its Hugging Face name, in a fixed order.

        A tensor is valid until the next is asked for. Under stage 3 every rank must iterate to the
        end.
        """
        for name, weight in self._policy.named_parameters():
            yield name.removeprefix("model."), weight

    def weight_shapes(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        """(name, dtype, full shape) of what `named_weights` yields, in its order, without
        gathering.
        """
        return [
            (name.removeprefix("model."), dtype, shape)
            for name, dtype, shape in self._policy.parameter_shapes()
        ]

    def save_checkpoint(self, folder: Path) -> None:
        """Write both engines, every rank's random state and the update counter into `folder`."""
        checkpoint.save(Path(folder), self._engines(), {"updates": self.updates})

    def load_checkpoint(self, folder: Path) -> None:
        """Continue as if never stopped.

        Raises:
            CheckpointError: incomplete, or of another number of ranks, ZeRO stage or architecture.
        """
        self.updates = checkpoint.load(Path(folder), self._engines())["updates"]

    def save_pretrained(self, folder: Path) -> None:
        """Write the policy and its tokenizer as a Hugging Face folder, atomically."""
        weights = self.named_weights()
        if self._rank == 0:
            full = {name: weight.to("cpu", copy=True) for name, weight in weights}
            tokenizer = AutoTokenizer.from_pretrained(self._model_dir)
            write_pretrained(Path(folder), self._model, full, tokenizer)
        else:
            for _ in weights:
                pass

    def _engines(self) -> dict[str, Engine]:
        return {"policy": self._policy, "critic": self._critic}


def _count(mask: Tensor) -> int:
    return max(1, int(mask.sum()))
