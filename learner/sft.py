"""Supervised fine-tuning (SFT) on (prompt, solution) pairs: the policy that RL starts from."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from learner.algorithm.lr_schedule import lr_share
from learner.config import ModelConfig, SFTConfig
from learner.errors import LearnerError, NonFiniteError
from learner.models.batch import TokenBatch, token_batch
from learner.models.networks import PolicyModel, create_llama
from learner.models.pretrained import check_vocabulary, checkpoint_gradients, load_policy
from learner.models.processor import CPU_INFO, has_bfloat16
from learner.models.published import leading_ids, load_tokenizer
from learner.models.source import ModelSource
from learner.plan.epoch import plan_step, unshared
from learner.tokenizer import train_tokenizer
from learner.zero.distributed import device, ensure_distributed, sum_over_ranks, torch_dtype
from learner.zero.engine import Engine, NonFiniteGradientError
from learner.zero.export import save_policy

logger = logging.getLogger(__name__)

_NAMED = 10
"""Pairs that are named in the log."""
_REPORT_EVERY = 20
"""Steps between progress reports; losses are averaged over as many."""


@dataclass(frozen=True)
class Example:
    """One pair as tokens."""

    prompt_ids: tuple[int, ...]
    """The prompt as in a rollout; not learned."""
    solution_ids: tuple[int, ...]
    """Solution and end of sequence; learned."""

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Prompt and solution together."""
        return (*self.prompt_ids, *self.solution_ids)


def sft(
    pairs: Sequence[tuple[str, str]],
    config: SFTConfig,
    model_config: ModelConfig,
    out_dir: Path,
    on_progress: Callable[[dict[str, float]], None],
    heldout: Sequence[tuple[str, str]] = (),
    names: Sequence[str] = (),
) -> dict[str, float]:
    """Train a policy on (prompt, solution) pairs and write it with its tokenizer, atomically.

    The policy is loaded from `model_config.path`, or created with a tokenizer trained on a sample
    of the pairs. Collective.

    Args:
        pairs: each becomes prompt, solution, end of sequence; only the last two are learned.
        config: of the training.
        model_config: of the model.
        out_dir: Hugging Face folder, replaced if it exists.
        on_progress: called on rank 0 every 20 steps with step, steps, loss, lr, seconds,
            tokens_per_second, and heldout_loss where it was measured.
        heldout: pairs on which the loss is measured, every `config.eval_every` steps and at the
            end; never learned from.
        names: of the pairs, for the log; their numbers if not given.

    Returns:
        loss (mean per learned token over the last 20 steps, nats), heldout_loss if there are
        heldout pairs, steps, tokens, seconds, vocabulary, parameters, pairs, skipped_too_long.

    Raises:
        ModelError: the model is missing, not supported, or does not fit its tokenizer.
        LearnerError: no pair is short enough for the model.
        NonFiniteError: the loss or gradient is not finite.
    """
    started = time.perf_counter()
    rank, world_size = ensure_distributed()
    policy, tokenizer = _starting_point(pairs, config, model_config)
    longest = policy.model.config.max_position_embeddings
    examples = _fitting(pairs, tokenizer, longest, names)
    heldout_examples = _fitting(heldout, tokenizer, longest) if heldout else []
    parameters = sum(p.numel() for p in policy.parameters())
    engine = Engine(policy, config.optimizer, config.zero, torch_dtype(config.dtype))

    tokens, recent_losses, heldout_loss = 0, [], {}
    for step, samples in enumerate(_sample_order(len(examples), config)):
        share = lr_share(step, "cosine", config.warmup_steps, config.steps, config.final_lr_share)
        batch = [examples[i] for i in samples]
        try:
            recent_losses.append(_step(engine, batch, share, config, rank, world_size))
        except NonFiniteGradientError as error:
            raise NonFiniteError(
                f"SFT step {step}, pairs {samples}: {error}; lower sft.optimizer.lr"
            ) from error
        tokens += sum(len(e.token_ids) for e in batch)
        recent_losses = recent_losses[-_REPORT_EVERY:]
        last = step + 1 == config.steps
        due = last or (config.eval_every and (step + 1) % config.eval_every == 0)
        heldout_loss = {}
        if heldout_examples and due:
            loss = _loss(engine, heldout_examples, config, rank, world_size)
            heldout_loss = {"heldout_loss": loss}
        if rank == 0 and ((step + 1) % _REPORT_EVERY == 0 or last or heldout_loss):
            seconds = time.perf_counter() - started
            on_progress(
                {
                    "step": step + 1,
                    "steps": config.steps,
                    "loss": sum(recent_losses) / len(recent_losses),
                    "lr": config.optimizer.lr * share,
                    "seconds": seconds,
                    "tokens_per_second": tokens / seconds,
                    **heldout_loss,
                }
            )
    weights = ((name.removeprefix("model."), w) for name, w in engine.named_parameters())
    save_policy(out_dir, policy.model, weights, tokenizer)
    torch.distributed.barrier()
    return {
        "loss": sum(recent_losses) / len(recent_losses),
        **heldout_loss,
        "steps": config.steps,
        "tokens": tokens,
        "seconds": time.perf_counter() - started,
        "vocabulary": len(tokenizer),
        "parameters": parameters,
        "pairs": len(examples),
        "skipped_too_long": len(pairs) - len(examples),
    }


def encode_pairs(
    pairs: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerBase
) -> list[Example]:
    """Tokens of pairs; prompt and solution are encoded separately, because in a rollout the prompt
    is encoded without its completion. A prompt begins as the tokenizer begins every text.
    """
    encode: Any = tokenizer
    begin, end = leading_ids(tokenizer), encode.eos_token_id
    prompts = encode([prompt for prompt, _ in pairs], add_special_tokens=False)
    solutions = encode([solution for _, solution in pairs], add_special_tokens=False)
    return [
        Example((*begin, *prompt), (*solution, end))
        for prompt, solution in zip(prompts["input_ids"], solutions["input_ids"], strict=True)
    ]


def _fitting(
    pairs: Sequence[tuple[str, str]],
    tokenizer: PreTrainedTokenizerBase,
    longest: int,
    names: Sequence[str] = (),
) -> list[Example]:
    """The pairs of at most `longest` tokens; the others are named in the log."""
    encoded = encode_pairs(pairs, tokenizer)
    examples = [e for e in encoded if len(e.token_ids) <= longest]
    if too_long := [i for i, e in enumerate(encoded) if len(e.token_ids) > longest]:
        shown = [names[i] if names else f"pair {i}" for i in too_long[:_NAMED]]
        more = f" and {len(too_long) - _NAMED} more" if len(too_long) > _NAMED else ""
        logger.warning(
            "left out %d of %d pairs of more than %d tokens: %s%s",
            len(too_long), len(pairs), longest, ", ".join(shown), more,
        )  # fmt: skip
    if not examples:
        raise LearnerError(
            f"none of the {len(pairs)} pairs fits into {longest} tokens: raise "
            "model.max_position_embeddings, choose a model of longer context, or give shorter pairs"
        )
    return examples


def multiplies_in_bfloat16(config: SFTConfig, cpu_info: Path = CPU_INFO) -> bool:
    """Whether matrices are multiplied in bfloat16, by `sft.mixed_precision` on this device."""
    if config.mixed_precision is not None:
        return config.mixed_precision
    return torch.cuda.is_available() or has_bfloat16(cpu_info)


def _starting_point(
    pairs: Sequence[tuple[str, str]], config: SFTConfig, model_config: ModelConfig
) -> tuple[PolicyModel, PreTrainedTokenizerBase]:
    dtype, mixed = torch_dtype(config.dtype), multiplies_in_bfloat16(config)
    if model_config.path is not None:
        trust = model_config.trust_remote_code
        folder = ModelSource(model_config.path, trust).fetch()
        policy = load_policy(
            folder,
            dtype,
            mixed,
            config.gradient_checkpointing,
            trust_remote_code=trust,
        )
        tokenizer = load_tokenizer(folder, trust)
        check_vocabulary(tokenizer, policy.model)
        return policy, tokenizer
    sample = random.Random(config.seed).sample(pairs, min(len(pairs), config.tokenizer_pairs))
    texts = (prompt + solution for prompt, solution in sample)
    tokenizer = train_tokenizer(texts, model_config.vocab_size)
    model: Any = create_llama(model_config, tokenizer, config.seed)
    policy = PolicyModel(model.to(dtype), mixed)
    if config.gradient_checkpointing:
        checkpoint_gradients(policy.model.base_model)
    return policy, tokenizer


def _sample_order(count: int, config: SFTConfig) -> Iterator[list[int]]:
    """Indices of each step's samples: shuffled epochs, one after another."""
    generator = random.Random(config.seed)
    order: list[int] = []
    for _ in range(config.steps):
        while len(order) < config.batch_size:
            epoch = list(range(count))
            generator.shuffle(epoch)
            order += epoch
        yield order[: config.batch_size]
        del order[: config.batch_size]


def _step(
    engine: Engine,
    examples: Sequence[Example],
    lr_share: float,
    config: SFTConfig,
    rank: int,
    world_size: int,
) -> float:
    """One optimizer step; returns the mean loss per learned token over all ranks."""
    total = torch.zeros((), device=device())
    learned = sum(len(e.solution_ids) for e in examples)
    for batch in _token_batches(examples, config, rank, world_size):
        logprobs, _ = engine(batch, 1.0, config.logprob_chunk)
        loss = -logprobs.sum() / learned
        engine.backward(loss * world_size)
        total += loss.detach()
    engine.step(lr_share)
    return float(sum_over_ranks(total))


@torch.no_grad()
def _loss(
    engine: Engine, examples: Sequence[Example], config: SFTConfig, rank: int, world_size: int
) -> float:
    """Mean loss per token of the solutions over all ranks, without gradient [nats]."""
    total = torch.zeros((), device=device())
    for batch in _token_batches(examples, config, rank, world_size):
        total -= engine(batch, 1.0, config.logprob_chunk)[0].sum()
    return float(sum_over_ranks(total)) / sum(len(e.solution_ids) for e in examples)


def _token_batches(
    examples: Sequence[Example], config: SFTConfig, rank: int, world_size: int
) -> Iterator[TokenBatch]:
    """This rank's micro-batches: as many as on every other rank."""
    sizes = unshared([len(e.token_ids) for e in examples])
    plan = plan_step(range(len(examples)), sizes, config.token_budget, rank, world_size)
    for samples in plan.micro_batches:
        yield token_batch(
            [examples[i].token_ids for i in samples],
            [len(examples[i].prompt_ids) for i in samples],
            device(),
        )
