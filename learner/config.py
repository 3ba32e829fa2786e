"""Configuration of the learner: model, optimizers, PPO, SFT and rewards. Imports no torch."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Dtype = Literal["auto", "float32", "bfloat16"]
MaskKind = Literal[
    "fgo", "error", "divergence", "random", "random_error", "random_divergence", "none"
]


class ModelConfig(_Config):
    """The policy to start from: a model folder, or the shape of a small Llama to create."""

    path: str | None = None
    """Folder of a Hugging Face model with its tokenizer, or its name on the hub with an optional
    revision, such as Qwen/Qwen2.5-Coder-0.5B@main; if null, a model is created from the fields
    below.
    """
    trust_remote_code: bool = False
    """Whether Python files that come with the model may run. Read them first."""
    hidden_size: int = Field(default=128, gt=0)
    """Width of the residual stream."""
    layers: int = Field(default=4, gt=0)
    """Number of transformer blocks."""
    heads: int = Field(default=2, gt=0)
    """Attention heads; the head size is hidden_size / heads."""
    intermediate_size: int = Field(default=352, gt=0)
    """Width of the gated feed-forward layer."""
    max_position_embeddings: int = Field(default=512, gt=0)
    """Longest sequence, prompt and completion together [tokens]."""
    vocab_size: int = Field(default=512, ge=258)
    """Most tokens of the trained tokenizer: 256 bytes, 2 special tokens, then merges."""


class RewardConfig(_Config, allow_inf_nan=False):
    """Reward of a program: of its outcome (StepCoder, section 3.1), and what is added to it."""

    passed: float = 1.0
    """Every test passed."""
    failed: float = -0.3
    """The program ran through, but at least one test had a wrong output."""
    runtime_error: float = -0.6
    """The program raised an exception."""
    timeout: float = -0.6
    """The program exceeded its time limit; a runtime error in the paper."""
    out_of_memory: float = -0.6
    """The program exceeded its memory limit; a runtime error in the paper."""
    compile_error: float = -1.0
    """The program does not parse."""
    tests_passed: float = 0.0
    """Added in proportion to the tests that passed. Off by default: partial credit does not
    reliably beat the outcome alone, and teaches programs that are nearly right.
    """
    length: float = 0.0
    """Added in proportion to the response's tokens, of `rollout.max_new_tokens`; below 0 short
    responses are worth more.
    """
    format: float = 0.0
    """Added where the response ended by itself and nothing of it but reasoning and the lines of a
    code fence was cut away before it ran.
    """
    function: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """A function of yours, `package.module:name`, whose value is added: it gets problem, sample and
    verdict, and returns a number, or a number and its named parts. For a reward of its own, set
    the outcomes to 0.
    """
    function_errors: Literal["stop", "drop"] = "stop"
    """What an error of the function does: end the run, or drop the sample and count it."""
    function_timeout_s: float = Field(default=10.0, gt=0)
    """Longest time of one call of the function, after which the run ends [seconds]."""


class ZeroConfig(_Config):
    """DeepSpeed ZeRO partitioning."""

    stage: Literal[0, 1, 2, 3] = 2
    """0 replicates everything; 1 partitions optimizer state, 2 also gradients, 3 also parameters.
    """
    bucket_elements: int = Field(default=50_000_000, gt=0)
    """Elements that one collective reduces or gathers."""
    export_bucket_mib: float = Field(default=256, gt=0)
    """Parameters gathered at once when full weights are exported under stage 3 [MiB]."""
    offload_optimizer: bool = False
    """Keep optimizer state in the host's memory and step there; needs stage 1 or higher."""
    offload_parameters: bool = False
    """Keep parameters that are not in use in the host's memory; needs stage 3."""

    @property
    def optimizer_moves(self) -> bool:
        """Whether optimizer state can move to the host and back between updates.

        DeepSpeed moves PyTorch's AdamW in stage 2 only.
        """
        return self.stage == 2 and not self.offload_optimizer

    @model_validator(mode="after")
    def _check_offload(self) -> Self:
        if self.offload_optimizer and self.stage == 0:
            raise ValueError("offload_optimizer needs stage 1, 2 or 3: stage 0 has no partitions")
        if self.offload_parameters and self.stage != 3:
            raise ValueError(f"offload_parameters needs stage 3, stage is {self.stage}")
        return self


class LoRAConfig(_Config):
    """Low-rank adapters (Hu et al., 2021) on policy and critic, through `peft`."""

    rank: int = Field(default=0, ge=0)
    """Rank of the adapters; 0 trains all weights."""
    alpha: int = Field(default=32, gt=0)
    """The adapter's product is scaled by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers that get adapters, such as q_proj; empty means all but the output
    layer.
    """


class OptimizerConfig(_Config):
    """AdamW."""

    lr: float = Field(gt=0)
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay rates of the first and second moment."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the square root of the second moment."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of the linear layers; norms, biases and embeddings have none."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Global gradient norm above which the gradient is scaled down."""


class CriticOptimizerConfig(OptimizerConfig):
    """AdamW of the critic, whose value head starts at zero."""

    head_lr: float = Field(default=1e-4, gt=0)
    """Peak learning rate of the value head. At the backbone's rate a head that starts at zero would
    hardly move; a step changes a value by about this rate times the width of the model.
    """


class LRScheduleConfig(_Config):
    """Learning rates over the run, as a share of the peaks (`learner.algorithm.lr_schedule`)."""

    kind: Literal["constant", "cosine", "linear"] = "constant"
    """What follows the warm-up: the peak to the end, or a decay."""
    warmup_updates: int = Field(default=0, ge=0)
    """Updates of linear warm-up; the policy's begin after `critic_warmup_steps`."""
    updates: int | None = Field(default=None, gt=0)
    """Update at which a decay ends; null is `loop.steps`."""
    final_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the peak at which a decay ends."""


FREE_SETTINGS = {
    "token_budget",
    "logprob_chunk",
    "gradient_checkpointing",
    "compile",
    "logprob_diff_limit",
    "logprob_diff_alarm",
    "non_finite",
    "zero.export_bucket_mib",
}
"""Settings of `LearnerConfig` that a resumed run may change: they affect speed, memory or alarms,
but not what is learned.
"""
RATE_SETTINGS = {
    "policy.lr",
    "critic.lr",
    "critic.head_lr",
    *(f"lr_schedule.{name}" for name in LRScheduleConfig.model_fields),
}
"""Settings that a resumed run may change too: from then on, the rate is another one."""


def flat_settings(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested settings by their dotted keys; an empty section is a value."""
    rows: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            rows |= flat_settings(value, f"{prefix}{name}.")
        else:
            rows[prefix + name] = value
    return rows


class LearnerConfig(_Config):
    """One masked PPO update (StepCoder, sections 3.1 and 3.3)."""

    seed: int = 0
    """Seed of the adapters, the random mask and the order of minibatches."""
    policy: OptimizerConfig = OptimizerConfig(lr=5e-7)
    """Optimizer of the policy."""
    critic: CriticOptimizerConfig = CriticOptimizerConfig(lr=1.5e-6)
    """Optimizer of the critic."""
    lr_schedule: LRScheduleConfig = LRScheduleConfig()
    """Learning rates of policy and critic over the run."""
    critic_layers: int | None = Field(default=None, gt=0)
    """Blocks of the policy that the critic's backbone starts from; null takes all."""
    critic_warmup_steps: int = Field(default=0, ge=0)
    """Updates at the start of the run in which only the critic is trained."""
    epochs: int = Field(default=1, gt=0)
    """Passes over each batch of trajectories."""
    minibatch_size: int = Field(default=32, gt=0)
    """Most trajectories in one optimizer step, over all ranks. A batch that it does not divide is
    spread evenly over its steps. The samples of a prompt share it within a step only, so fewer and
    larger steps take less time.
    """
    token_budget: int = Field(default=4096, gt=0)
    """Most tokens in one micro-batch on one rank, a shared prompt counted once; a longer sample is
    alone in its micro-batch. Changes speed and memory, not the gradient.
    """
    gradient_checkpointing: bool = False
    """Keep only each block's input and recompute the rest in the backward pass: less memory, about
    a third more time, the same gradient.
    """
    compile: bool = False
    """Compile policy and critic for the device: fewer passes over memory between matrix products.
    For a GPU; the first update takes about a minute more. The reference is not compiled.
    """
    mask: MaskKind = "fgo"
    """fgo drops what no test executed; error also, where a program raised, all but what raised and
    what led to it; divergence also, where it did not pass, the beginning that the canonical
    solution shares; random... as many tokens of each response, at random; none drops nothing."""
    cut_away: Literal["mask", "learn"] = "mask"
    """Text that was cut away behind the program before it ran (prose, a second attempt, a driver):
    mask leaves it out of the policy loss. The token that ends a response is always learned, and so
    is text before the program (reasoning).
    """
    truncated: Literal["mask", "penalise", "learn"] = "mask"
    """Responses that were cut off at the limit: mask leaves them out of the policy loss (DAPO,
    section 3.4), penalise lowers the reward of long ones (`overlong_penalty`), learn takes them
    as any other. Their rewards count in the baseline in each case.
    """
    overlong_penalty: float = Field(default=1.0, ge=0)
    """With truncated penalise: subtracted from the reward of a response that was cut off, less from
    one that ends in the last `overlong_share` of the limit (`learner.reward`)."""
    overlong_share: float = Field(default=0.2, gt=0, le=1)
    """With truncated penalise: share of the longest response in which the penalty rises from 0."""
    max_response_tokens: int | None = Field(default=None, gt=0)
    """Longest response [tokens], for truncated penalise and normalisation constant; null is
    `rollout.max_new_tokens`.
    """
    mask_covers: tuple[Literal["policy", "value", "kl"], ...] = ("policy",)
    """Terms that the mask applies to: the policy loss with its entropy bonus, the value loss, the
    KL penalty.
    """
    advantage: Literal["gae", "grpo", "dr_grpo", "rloo", "reinforce++"] = "gae"
    """Baseline of the advantages: a critic (gae), the samples of the same prompt (grpo, dr_grpo,
    rloo), or the batch (reinforce++). Only gae creates a critic.
    """
    loss: Literal["ppo", "gspo", "cispo"] = "ppo"
    """Policy loss: clipped ratios of tokens (ppo) or of whole responses (gspo), or clipped weights
    on the log-probabilities (cispo).
    """
    normalisation: Literal["token", "sequence", "constant"] = "token"
    """What the sum of the policy loss (with entropy bonus and KL loss) is divided by: the tokens of
    the optimizer step (DAPO); each response's tokens, then the responses (GRPO); or the step's
    responses times `max_response_tokens` (Dr. GRPO).
    """
    gamma: float = Field(default=1.0, gt=0, le=1)
    """Discount per token."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """Lambda of generalised advantage estimation (GAE)."""
    kl_coefficient: float = Field(default=0.05, ge=0)
    """Weight of the per-token KL penalty against the reference; with 0 no reference is loaded."""
    kl_clip: float = Field(default=10.0, gt=0)
    """Bound of the absolute KL estimate of one token [nats]."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k1"
    """One-sample estimate of the KL (`learner.algorithm.kl`)."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Whether the penalty is part of the reward or a loss. A loss needs k2 or k3: the expected
    gradient of k1 is zero.
    """
    kl_stop: float | None = Field(default=None, gt=0)
    """Mean KL between old and new policy [nats per token] above which the policy takes no further
    optimizer step in this update; null never stops.
    """
    clip_low: float = Field(default=0.2, gt=0, le=1)
    """The ratio is clipped below at 1 - clip_low. Ratios of whole responses (gspo) are clipped
    about a thousand times closer: 3e-4 and 4e-4 in the paper.
    """
    clip_high: float = Field(default=0.2, gt=0)
    """The ratio is clipped above at 1 + clip_high."""
    dual_clip: float | None = Field(default=None, gt=1)
    """For a negative advantage, bound of a token's loss as a multiple of the advantage; null sets
    no bound.
    """
    value_clip: float | None = Field(default=0.2, gt=0)
    """Change of a value in one update beyond which its loss is clipped; null never clips."""
    entropy_coefficient: float = Field(default=0.0, ge=0)
    """Weight of the entropy bonus per token."""
    importance_cap: float | None = Field(default=None, gt=0)
    """Upper bound of the importance weight of a token's policy loss: its likelihood under the
    trainer's policy / under the rollout engine's. Corrects for engines of another precision and for
    samples of older weights; null does not weight.
    """
    logprob_diff_limit: float | None = Field(default=None, gt=0)
    """Difference of the rollout engine's log-probabilities of fresh samples from the trainer's
    above which there is an alarm [nats]: of the maximum in float32; in bfloat16 of the 99th
    percentile, and a fifth of it of the mean. Null is 1e-4 in float32 and 0.5 in bfloat16.
    """
    logprob_diff_alarm: Literal["warn", "raise", "off"] = "warn"
    """What the alarm does: log a warning, or stop the run before it learns from the batch."""
    non_finite: Literal["stop", "skip"] = "stop"
    """An optimizer step whose loss or gradient is not finite: stop ends the run before any weight
    changes; skip leaves the step out for the model whose gradient is not finite, and counts it. An
    update without a finite step ends the run, and so do broken log-probabilities.
    """
    logprob_chunk: int = Field(default=1024, gt=0)
    """Tokens whose logits [chunk, vocabulary] are in memory at the same time."""
    dtype: Dtype = "auto"
    """Precision of the weights; auto is bfloat16 on a GPU and float32 on a CPU."""
    cpu_products: Literal["float32", "bfloat16"] = "float32"
    """How a learner on a CPU multiplies float32 matrices: exactly, or by the processor's bfloat16
    units (AMX, AVX512-BF16), several times faster; weights and sums stay float32. Refused where the
    processor lacks them.
    """
    zero: ZeroConfig = ZeroConfig()
    """Partitioning of policy and critic."""
    lora: LoRAConfig = LoRAConfig()
    """Adapters of policy and critic; the reference is then the policy without its adapters."""

    @model_validator(mode="after")
    def _check_compile(self) -> Self:
        if self.compile and self.zero.stage == 3:
            raise ValueError(
                "compile needs zero.stage 0 to 2: under stage 3 the weights of a block are not "
                "whole when it is compiled"
            )
        return self

    @model_validator(mode="after")
    def _check_kl_penalty(self) -> Self:
        if self.kl_in == "loss" and self.kl_estimator == "k1":
            raise ValueError(
                "kl_in loss needs kl_estimator k2 or k3: the expected gradient of k1 is zero"
            )
        if self.advantage == "grpo" and self.kl_in == "reward" and self.kl_coefficient:
            raise ValueError(
                "advantage grpo divides by the spread of a group's scores: with the KL penalty in "
                "them, a group of equal rewards would learn from the noise of the penalty only; "
                "set kl_in loss with kl_estimator k3, or kl_coefficient 0"
            )
        return self

    @model_validator(mode="after")
    def _check_loss(self) -> Self:
        if self.loss == "gspo" and self.normalisation != "sequence":
            raise ValueError(
                "loss gspo is a mean over responses: set normalisation sequence, and clip_low and "
                "clip_high to about 3e-4 and 4e-4"
            )
        if self.dual_clip is not None and self.loss != "ppo":
            raise ValueError(f"dual_clip is part of loss ppo, not of {self.loss}: leave it null")
        return self


class SFTConfig(_Config):
    """Supervised fine-tuning: next-token training on (prompt, solution) pairs."""

    seed: int = 0
    """Seed of the weights and of the order of pairs."""
    steps: int = Field(default=600, gt=0)
    """Optimizer steps."""
    batch_size: int = Field(default=40, gt=0)
    """Pairs in one optimizer step, over all ranks."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
    """Optimizer; its lr is the peak of the learning rate."""
    warmup_steps: int = Field(default=40, ge=0)
    """Steps of linear warm-up, followed by a cosine decay."""
    final_lr_share: float = Field(default=0.05, ge=0, le=1)
    """Learning rate at the last step, as a share of the peak."""
    eval_every: int = Field(default=0, ge=0)
    """Steps between measurements of the held-out loss; 0 measures it at the end only."""
    token_budget: int = Field(default=2048, gt=0)
    """Most tokens in one micro-batch on one rank; a longer pair is alone in its micro-batch."""
    gradient_checkpointing: bool = False
    """Keep only each block's input and recompute the rest in the backward pass."""
    tokenizer_pairs: int = Field(default=3000, gt=0)
    """Pairs on which the tokenizer is trained."""
    logprob_chunk: int = Field(default=4096, gt=0)
    """Tokens whose logits [chunk, vocabulary] are in memory at the same time."""
    mixed_precision: bool | None = None
    """Multiply matrices in bfloat16 even if the weights are float32; attention on a CPU stays in
    float32. Null: on a GPU, and on a processor that has bfloat16 products; on others they take many
    times as long as in float32.
    """
    dtype: Dtype = "auto"
    """Precision of the weights; auto is bfloat16 on a GPU and float32 on a CPU."""
    zero: ZeroConfig = ZeroConfig()
    """Partitioning of the model."""
