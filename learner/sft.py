"""SFT, the warm start: a tokenizer and a policy from (prompt, solution) pairs."""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from learner.config import ModelConfig, SFTConfig
from learner.models.batch import TokenBatch, plan_step, token_batch
from learner.models.pretrained import (
    PolicyModel,
    checkpoint_gradients,
    create_llama,
    load_policy,
    load_tokenizer,
    write_pretrained,
)
from learner.tokenizer import train_tokenizer
from learner.zero.distributed import device, ensure_distributed, sum_over_ranks, torch_dtype
from learner.zero.engine import Engine, NonFiniteGradientError

_REPORT_EVERY = 20


@dataclass(frozen=True)
class Example:
    """One pair as tokens."""

    prompt_ids: tuple[int, ...]
    """The prompt as the policy is asked; not learned."""
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
) -> dict[str, float]:
    """Train a policy on (prompt, solution) pairs and write it with its tokenizer to `out_dir`,
    atomically.

    The model is created with a tokenizer trained on a sample of the pairs, or loaded from
    `model_config.path`. Called on every rank alike.

    Args:
        pairs: the text is prompt, solution, end of sequence; only the last two are learned.
        config: of the training.
        model_config: of the model.
        out_dir: Hugging Face folder, replaced if it exists.
        on_progress: called on rank 0 every 20 steps with step, steps, loss, lr, seconds,
            tokens_per_second, and heldout_loss where it was measured.
        heldout: pairs to measure the loss on, never learned from; every `config.eval_every` steps
            and at the end.

    Returns:
        loss (mean per learned token over the last 20 steps, nats), heldout_loss if there are
        heldout pairs, steps, tokens, seconds, vocabulary, parameters, pairs, skipped_too_long.

    Raises:
        ValueError: no pair fits into the model.
        ArithmeticError: the loss or gradient is not finite.
    """
    started = time.perf_counter()
    rank, world_size = ensure_distributed()
    policy, tokenizer = _starting_point(pairs, config, model_config)
    longest = policy.model.config.max_position_embeddings
    examples = _fitting(pairs, tokenizer, longest)
    judged = _fitting(heldout, tokenizer, longest) if heldout else []
    parameters = sum(p.numel() for p in policy.parameters())
    engine = Engine(policy, config.optimizer, config.zero, torch_dtype(config.dtype))

    tokens, recent, told = 0, [], {}
    for step, samples in enumerate(_sample_order(len(examples), config)):
        lr = config.optimizer.lr * lr_share(step, config)
        batch = [examples[i] for i in samples]
        try:
            recent.append(_step(engine, batch, lr, config, rank, world_size))
        except NonFiniteGradientError as error:
            raise ArithmeticError(f"SFT step {step}, pairs {samples}: {error}") from error
        tokens += sum(len(e.token_ids) for e in batch)
        recent = recent[-_REPORT_EVERY:]
        last = step + 1 == config.steps
        measured = judged and (last or (config.eval_every and (step + 1) % config.eval_every == 0))
        told = {"heldout_loss": _loss(engine, judged, config, rank, world_size)} if measured else {}
        if rank == 0 and ((step + 1) % _REPORT_EVERY == 0 or last or measured):
            seconds = time.perf_counter() - started
            on_progress(
                {
                    "step": step + 1,
                    "steps": config.steps,
                    "loss": sum(recent) / len(recent),
                    "lr": lr,
                    "seconds": seconds,
                    "tokens_per_second": tokens / seconds,
                    **told,
                }
            )
    weights = {
        name.removeprefix("model."): weight.to("cpu", copy=True)
        for name, weight in engine.named_parameters()
    }
    if rank == 0:
        write_pretrained(out_dir, policy.model, weights, tokenizer)
    torch.distributed.barrier()
    return {
        "loss": sum(recent) / len(recent),
        **told,
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
    """Tokens of pairs; the prompt is encoded apart from the solution, as it is when the policy is
    asked.
    """
    encode: Any = tokenizer
    end: Any = tokenizer.eos_token_id
    prompts = encode([prompt for prompt, _ in pairs], add_special_tokens=False)
    solutions = encode([solution for _, solution in pairs], add_special_tokens=False)
    return [
        Example(tuple(prompt), (*solution, end))
        for prompt, solution in zip(prompts["input_ids"], solutions["input_ids"], strict=True)
    ]


def _fitting(
    pairs: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerBase, longest: int
) -> list[Example]:
    examples = [e for e in encode_pairs(pairs, tokenizer) if len(e.token_ids) <= longest]
    if not examples:
        raise ValueError(f"none of the {len(pairs)} pairs fits into {longest} tokens")
    return examples


def lr_share(step: int, config: SFTConfig) -> float:
    """Learning rate at a step as a share of the peak: linear warm-up, then a cosine to
    `final_lr_share`.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return config.final_lr_share + (1 - config.final_lr_share) * cosine


def _starting_point(
    pairs: Sequence[tuple[str, str]], config: SFTConfig, model_config: ModelConfig
) -> tuple[PolicyModel, PreTrainedTokenizerBase]:
    dtype = torch_dtype(config.dtype)
    if model_config.path is not None:
        folder = Path(model_config.path)
        policy = load_policy(folder, dtype, config.mixed_precision, config.gradient_checkpointing)
        return policy, load_tokenizer(folder, policy.model)
    sample = random.Random(config.seed).sample(pairs, min(len(pairs), config.tokenizer_pairs))
    texts = (prompt + solution for prompt, solution in sample)
    tokenizer = train_tokenizer(texts, model_config.vocab_size)
    model: Any = create_llama(model_config, tokenizer, config.seed)
    policy = PolicyModel(model.to(dtype), config.mixed_precision)
    if config.gradient_checkpointing:
        checkpoint_gradients(policy.model.base_model)
    return policy, tokenizer


def _sample_order(count: int, config: SFTConfig) -> Iterator[list[int]]:
    """Samples of each step: shuffled epochs one after the other."""
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
    lr: float,
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
    engine.step(lr)
    return float(sum_over_ranks(total))


@torch.no_grad()
def _loss(
    engine: Engine, examples: Sequence[Example], config: SFTConfig, rank: int, world_size: int
) -> float:
    """Mean loss per token of the solutions over all ranks; nothing is learned."""
    total = torch.zeros((), device=device())
    for batch in _token_batches(examples, config, rank, world_size):
        total -= engine(batch, 1.0, config.logprob_chunk)[0].sum()
    return float(sum_over_ranks(total)) / sum(len(e.solution_ids) for e in examples)


def _token_batches(
    examples: Sequence[Example], config: SFTConfig, rank: int, world_size: int
) -> Iterator[TokenBatch]:
    """This rank's micro-batches: as many as on every other rank."""
    lengths = [len(e.token_ids) for e in examples]
    plan = plan_step(range(len(examples)), lengths, config.token_budget, rank, world_size)
    for samples in plan.micro_batches:
        yield token_batch(
            [examples[i].token_ids for i in samples],
            [len(examples[i].prompt_ids) for i in samples],
            device(),
        )
