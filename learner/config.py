"""Configuration of the learner: model, optimizers, PPO, SFT and rewards. Imports neither torch nor
DeepSpeed.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Dtype = Literal["auto", "float32", "bfloat16"]


class ModelConfig(_Config):
    """The policy to start from: a model folder, or the shape of a small Llama to create."""

    path: str | None = None
    """Folder of a Hugging Face model with its tokenizer; None creates a model from the fields
    below.
    """
    hidden_size: int = Field(default=128, gt=0)
    """Width of the residual stream."""
    layers: int = Field(default=4, gt=0)
    """Number of transformer blocks."""
    heads: int = Field(default=2, gt=0)
    """Attention heads; the head size is hidden_size / heads."""
    intermediate_size: int = Field(default=352, gt=0)
    """Width of the gated feed-forward layer."""
    max_position_embeddings: int = Field(default=512, gt=0)
    """Longest sequence, in tokens, prompt and completion together."""
    vocab_size: int = Field(default=512, ge=258)
    """Upper limit of the trained tokenizer's vocabulary: 256 bytes, 2 specials, the rest merges."""


class RewardConfig(_Config):
    """Reward of each outcome of a program (StepCoder, section 3.1)."""

    passed: float = 1.0
    """Every test passed."""
    failed: float = -0.3
    """At least one test gave another output."""
    runtime_error: float = -0.6
    """The program raised."""
    timeout: float = -0.6
    """The program ran out of time: a runtime error in the paper's terms."""
    out_of_memory: float = -0.6
    """The program ran out of memory: a runtime error in the paper's terms."""
    compile_error: float = -1.0
    """The program does not parse."""


class ZeroConfig(_Config):
    """DeepSpeed ZeRO partitioning."""

    stage: Literal[0, 1, 2, 3] = 2
    """0 replicates everything; 1 partitions optimizer state, 2 gradients too, 3 parameters too."""
    bucket_elements: int = Field(default=50_000_000, gt=0)
    """Elements reduced or gathered in one collective."""
    export_bucket_mib: float = Field(default=256, gt=0)
    """Parameters gathered at once when full weights are exported under stage 3, in MiB."""
    offload_optimizer: bool = False
    """Keep optimizer state and its step in the host's memory; stage 1 or higher."""
    offload_parameters: bool = False
    """Keep idle parameters in the host's memory; stage 3."""

    @model_validator(mode="after")
    def _offload_needs_partitions(self) -> Self:
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
    """Names of the linear layers that get adapters, such as q_proj; none named means all but the
    output layer.
    """


class OptimizerConfig(_Config):
    """AdamW."""

    lr: float = Field(gt=0)
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of the first and second moment."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the second moment."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Global gradient norm above which the gradient is scaled down."""


FREE_SETTINGS = {
    "token_budget",
    "logprob_chunk",
    "gradient_checkpointing",
    "logprob_diff_limit",
    "logprob_diff_alarm",
}
"""What of a learner's settings changes speed, memory or alarms, but not what is learned: a resumed
run may differ there."""


class LearnerConfig(_Config):
    """One masked PPO update (StepCoder, sections 3.1 and 3.3)."""

    seed: int = 0
    """Seed of adapters, of the random mask and of the order of minibatches."""
    policy: OptimizerConfig = OptimizerConfig(lr=5e-7)
    """Optimizer of the policy."""
    critic: OptimizerConfig = OptimizerConfig(lr=1.5e-6)
    """Optimizer of the critic."""
    critic_layers: int | None = Field(default=None, gt=0)
    """Blocks of the policy that the critic's backbone starts from; None takes all."""
    critic_warmup_steps: int = Field(default=0, ge=0)
    """Updates at the start of the run in which only the critic learns."""
    epochs: int = Field(default=1, gt=0)
    """Passes over each batch of trajectories."""
    minibatch_size: int = Field(default=32, gt=0)
    """Trajectories in one optimizer step, over all ranks."""
    token_budget: int = Field(default=4096, gt=0)
    """Most tokens in one micro-batch on one rank; a longer sample goes alone. Changes speed and
    memory, not the gradient.
    """
    gradient_checkpointing: bool = False
    """Keep only each block's input and compute the rest again in the backward pass: less memory,
    about a third more time, the same gradient.
    """
    mask: Literal["fgo", "random", "none"] = "fgo"
    """fgo drops the tokens that no test executed; random drops as many of each response, anywhere
    (the control of the ablation); none drops nothing.
    """
    mask_covers: tuple[Literal["policy", "value", "kl"], ...] = ("policy",)
    """Which terms the mask applies to: the policy loss (with its entropy bonus), the value loss,
    the KL penalty.
    """
    advantage: Literal["gae", "grpo", "rloo", "reinforce++"] = "gae"
    """Where advantages come from: a critic (gae), the other samples of the same prompt (grpo,
    rloo), or the batch (reinforce++). Only gae builds a critic.
    """
    gamma: float = Field(default=1.0, gt=0, le=1)
    """Discount per token."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """Lambda of generalised advantage estimation."""
    kl_coefficient: float = Field(default=0.05, ge=0)
    """Weight of the per-token KL penalty against the reference."""
    kl_clip: float = Field(default=10.0, gt=0)
    """Bound of the absolute KL estimate of one token, in nats."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k1"
    """One-sample estimate of the KL (`learner.algorithm.kl`)."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Where the penalty enters. A loss takes k2 or k3: the expected gradient of k1 is zero."""
    kl_stop: float | None = Field(default=None, gt=0)
    """Mean KL between old and new policy, in nats per token, above which the policy takes no
    further optimizer step in this update; None never stops.
    """
    clip_low: float = Field(default=0.2, gt=0, lt=1)
    """The ratio is clipped below at 1 - clip_low."""
    clip_high: float = Field(default=0.2, gt=0)
    """The ratio is clipped above at 1 + clip_high."""
    dual_clip: float | None = Field(default=None, gt=1)
    """Where the advantage is negative the loss of a token is at most this many times it; None sets
    no bound.
    """
    value_clip: float | None = Field(default=0.2, gt=0)
    """Largest useful change of a value in one update; None leaves the value loss unclipped."""
    entropy_coefficient: float = Field(default=0.0, ge=0)
    """Weight of the entropy bonus per token."""
    importance_cap: float | None = Field(default=None, gt=0)
    """Each token's policy loss is weighted by its likelihood under the trainer's policy over that
    under the rollout engine's, truncated here: corrects for an engine of other precision and for
    samples of older weights. None weighs all alike.
    """
    logprob_diff_limit: float | None = Field(default=None, gt=0)
    """Largest `rollout_trainer_logprob_diff` of fresh samples, in nats, without an alarm; None
    takes 1e-4 in float32 and 0.5 in bfloat16.
    """
    logprob_diff_alarm: Literal["warn", "raise", "off"] = "warn"
    """What the alarm does: log a warning, or stop before anything is learned from the batch."""
    logprob_chunk: int = Field(default=1024, gt=0)
    """Tokens whose logits [chunk, vocabulary] exist at the same time."""
    dtype: Dtype = "auto"
    """Precision of the weights: auto is bfloat16 on a GPU and float32 on a CPU."""
    zero: ZeroConfig = ZeroConfig()
    """Partitioning of policy and critic."""
    lora: LoRAConfig = LoRAConfig()
    """Adapters of policy and critic; the reference is then the base with adapters off."""

    @model_validator(mode="after")
    def _penalty_goes_with_its_place(self) -> Self:
        if self.kl_in == "loss" and self.kl_estimator == "k1":
            raise ValueError(
                "kl_in loss needs kl_estimator k2 or k3: the expected gradient of k1 is zero"
            )
        if self.advantage == "grpo" and self.kl_in == "reward" and self.kl_coefficient:
            raise ValueError(
                "advantage grpo divides by the spread of a group's scores: with the KL penalty in "
                "them, a group of equal rewards would learn from nothing but the penalty's noise; "
                "set kl_in loss with kl_estimator k3, or kl_coefficient 0"
            )
        return self


class SFTConfig(_Config):
    """The warm start: next-token training on (prompt, solution) pairs."""

    seed: int = 0
    """Seed of the weights and of the order of pairs."""
    steps: int = Field(default=600, gt=0)
    """Optimizer steps."""
    batch_size: int = Field(default=40, gt=0)
    """Pairs in one optimizer step, over all ranks."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
    """Optimizer; its lr is the peak of the schedule."""
    warmup_steps: int = Field(default=40, ge=0)
    """Steps of linear warm-up, followed by a cosine."""
    final_lr_share: float = Field(default=0.05, ge=0, le=1)
    """Learning rate at the end of the cosine, as a share of the peak."""
    eval_every: int = Field(default=0, ge=0)
    """Steps between measurements of the held-out loss; 0 measures at the end only."""
    token_budget: int = Field(default=2048, gt=0)
    """Most tokens in one micro-batch on one rank; a longer pair goes alone."""
    gradient_checkpointing: bool = False
    """Keep only each block's input and compute the rest again in the backward pass."""
    tokenizer_pairs: int = Field(default=3000, gt=0)
    """Pairs on which the tokenizer is trained."""
    logprob_chunk: int = Field(default=4096, gt=0)
    """Tokens whose logits [chunk, vocabulary] exist at the same time."""
    mixed_precision: bool = True
    """Multiply matrices in bfloat16 even where the weights are float32; attention stays float32."""
    dtype: Dtype = "auto"
    """Precision of the weights: auto is bfloat16 on a GPU and float32 on a CPU."""
    zero: ZeroConfig = ZeroConfig()
    """Partitioning of the model."""
