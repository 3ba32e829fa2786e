"""Policy, critic and reference of one rank: scoring tokens, and exporting the policy."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from learner.config import LearnerConfig
from learner.models.batch import TokenBatch, token_batch
from learner.models.compiling import compile_blocks
from learner.models.lora import adapters_off
from learner.models.pretrained import check_vocabulary, load_critic, load_policy
from learner.models.products import set_products
from learner.models.published import load_tokenizer
from learner.plan.epoch import Step, plan_step, unshared
from learner.plan.shares import Batch
from learner.zero.distributed import device, ensure_distributed, torch_dtype
from learner.zero.engine import Engine
from learner.zero.export import policy_writer
from learner.zero.frozen import FrozenModel


class ActorCritic:
    """The models of one rank, loaded from one folder. Every method is collective.

    There is a critic only if the advantages need one, and a reference only if there is a KL
    penalty. With LoRA the reference is the policy with its adapters off, else a frozen copy of the
    policy.

    Raises:
        ModelError: `model_dir` holds no model, one that is not supported, or one that does not fit
            its tokenizer or the configuration; or the processor lacks `cpu_products`.
    """

    def __init__(
        self,
        config: LearnerConfig,
        model_dir: Path,
        rollout_temperature: float,
        trust_remote_code: bool = False,
    ) -> None:
        self._rank, self._world_size = ensure_distributed()
        self._config = config
        self._temperature = rollout_temperature
        self._device = device()
        set_products(config.cpu_products, self._device)
        self._dtype = dtype = torch_dtype(config.dtype)
        folder, recompute = Path(model_dir), config.gradient_checkpointing
        trust = trust_remote_code
        policy = load_policy(
            folder, dtype, False, recompute, config.lora, config.seed, trust_remote_code=trust
        )
        self._tokenizer = load_tokenizer(folder, trust)
        check_vocabulary(self._tokenizer, policy.model)
        self._vocabulary = policy.model.get_input_embeddings().weight.shape[0]
        self._model = policy.model
        if config.compile:
            compile_blocks(policy.model.base_model)
            policy.model.get_output_embeddings().compiled = True
        self._policy = Engine(policy, config.policy, config.zero, dtype)
        self._critic: Engine | None = None
        if config.advantage == "gae":
            critic = load_critic(
                folder, dtype, config.critic_layers, recompute, config.lora, config.seed, trust
            )
            if config.compile:
                compile_blocks(critic.backbone)
            self._critic = Engine(critic, config.critic, config.zero, dtype)
        self._reference: FrozenModel | None = None
        if config.kl_coefficient and not config.lora.rank:
            self._reference = FrozenModel(
                load_policy(folder, dtype, trust_remote_code=trust), config.zero, dtype
            )

    def _token_batches(self, step: Step, batch: Batch) -> list[TokenBatch]:
        """This rank's micro-batches of an optimizer step."""
        return [
            token_batch(
                [batch.samples[i].token_ids for i in samples],
                [len(batch.samples[i].prompt_ids) for i in samples],
                self._device,
                [batch.groups[i] for i in samples],
            )
            for samples in step.micro_batches
        ]

    @torch.no_grad()
    def _scores(self, batch: TokenBatch) -> Tensor:
        """Log-probabilities by policy and reference, entropies and values: [4, targets]; zeros
        where there is no reference or critic.
        """
        chunk = self._config.logprob_chunk
        outputs = self._policy(batch, self._temperature, chunk, entropy=True)
        values = None if self._critic is None else self._critic(batch)
        return self._stacked(outputs, self._reference_logprobs(batch), values)

    @torch.no_grad()
    def _reference_logprobs(self, batch: TokenBatch) -> Tensor | None:
        """Log-probabilities by the reference [targets]; None without a KL penalty."""
        if not self._config.kl_coefficient:
            return None
        chunk = self._config.logprob_chunk
        if self._reference is not None:
            return self._reference(batch, self._temperature, chunk)[0]
        with adapters_off(self._policy.module):
            return self._policy(batch, self._temperature, chunk)[0]

    @staticmethod
    def _stacked(
        outputs: tuple[Tensor, Tensor], reference: Tensor | None, values: Tensor | None
    ) -> Tensor:
        """The scores of a micro-batch as one table [4, targets], without gradient."""
        logprobs, entropies = outputs
        absent = torch.zeros_like(logprobs)
        rows = (
            logprobs,
            absent if reference is None else reference,
            entropies,
            absent if values is None else values,
        )
        return torch.stack([row.detach() for row in rows])

    @torch.no_grad()
    def token_logprobs(
        self, sequences: Sequence[Sequence[int]], temperature: float = 1.0
    ) -> list[list[float]]:
        """Log-probability by the policy of every token but the first of each sequence, in nats."""
        sizes = unshared(list(map(len, sequences)))
        # Every rank computes all sequences: a plan for one rank.
        plan = plan_step(range(len(sequences)), sizes, self._config.token_budget, 0, 1)
        by_sequence: list[list[float]] = [[] for _ in sequences]
        for samples in plan.micro_batches:
            batch = token_batch([sequences[i] for i in samples], [1] * len(samples), self._device)
            logprobs, _ = self._policy(batch, temperature, self._config.logprob_chunk)
            for sample, part in zip(samples, logprobs.split(batch.counts), strict=False):
                by_sequence[sample] = part.tolist()
        return by_sequence

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """(name, full tensor) of every policy weight under its Hugging Face name, in a fixed order,
        adapters merged in.

        A tensor is valid only until the next one is requested. Under stage 3 every rank must
        iterate to the end.
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

    def save_pretrained(self, folder: Path) -> None:
        """Write the policy, adapters merged in, and its tokenizer as a Hugging Face folder,
        atomically.
        """
        self.begin_save_pretrained(folder)()

    def begin_save_pretrained(self, folder: Path) -> Callable[[], None]:
        """As `save_pretrained`, but what is returned writes a copy of the weights as they are now:
        updates may go on meanwhile, in another thread.
        """
        return policy_writer(Path(folder), self._model, self.named_weights(), self._tokenizer)

    def give_optimizer_state(self) -> None:
        """Move the optimizer state of policy and critic to the host's memory."""
        for engine in self._engines().values():
            engine.give_optimizer_state()

    def take_optimizer_state(self) -> None:
        """Move it back, before an update or a checkpoint is read."""
        for engine in self._engines().values():
            engine.take_optimizer_state()

    def _engines(self) -> dict[str, Engine]:
        engines = {"policy": self._policy, "critic": self._critic}
        return {name: engine for name, engine in engines.items() if engine is not None}
