"""Configuration of the learner: model, optimizers, PPO, SFT and rewards. Imports neither torch nor
DeepSpeed.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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


class LearnerConfig(_Config):
    """One masked PPO update (StepCoder, sections 3.1 and 3.3)."""

    seed: int = 0
    """Seed of the critic's head and of the order of minibatches."""
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
    """Tokens, padding included, in one micro-batch on one rank. Changes speed and memory, not the
    gradient.
    """
    fgo: bool = True
    """Drop unexecuted tokens from the policy loss (FGO); False trains on every generated token."""
    gamma: float = Field(default=1.0, gt=0, le=1)
    """Discount per token."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """Lambda of generalised advantage estimation."""
    kl_coefficient: float = Field(default=0.05, ge=0)
    """Weight of the per-token KL penalty (k1, against the reference) in the reward."""
    kl_clip: float = Field(default=10.0, gt=0)
    """Bound of the absolute k1 estimate of one token, in nats, before it enters the reward."""
    clip_low: float = Field(default=0.2, gt=0, lt=1)
    """The ratio is clipped below at 1 - clip_low."""
    clip_high: float = Field(default=0.2, gt=0)
    """The ratio is clipped above at 1 + clip_high."""
    value_clip: float | None = Field(default=0.2, gt=0)
    """Largest useful change of a value in one update; None leaves the value loss unclipped."""
    logprob_chunk: int = Field(default=1024, gt=0)
    """Tokens whose logits [chunk, vocabulary] exist at the same time."""
    dtype: Dtype = "auto"
    """Precision of the weights: auto is bfloat16 on a GPU and float32 on a CPU."""
    zero: ZeroConfig = ZeroConfig()
    """Partitioning of policy and critic."""


class SFTConfig(_Config):
    """The warm start: next-token training on (question, solution) pairs."""

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
    token_budget: int = Field(default=2048, gt=0)
    """Tokens, padding included, in one micro-batch on one rank."""
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
