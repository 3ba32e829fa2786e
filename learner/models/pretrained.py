"""Policy, reference and critic: what they are and how they are loaded."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils.logging import disable_progress_bar

from learner.config import LoRAConfig, ModelConfig
from learner.models.batch import TokenBatch
from learner.models.logprobs import LogProbHead
from learner.models.lora import add_adapters
from learner.models.packing import pack
from learner.tokenizer import EOS, PAD

disable_progress_bar()


class TokenWatch:
    """Tells which tokens of the last backward pass had a gradient that is not finite.

    Whatever breaks a sequence's gradient on its way down arrives broken at its embeddings, and at
    no other sequence's.
    """

    def __init__(self, backbone: Any) -> None:
        self.broken: Tensor | None = None
        """[tokens] bool; None where no gradient reached the embeddings."""
        backbone.get_input_embeddings().register_forward_hook(self._embedded)

    def _embedded(self, _module: nn.Module, _inputs: Any, embeddings: Tensor) -> None:
        self.broken = None
        if embeddings.requires_grad:
            embeddings.register_hook(self._arrived)

    def _arrived(self, gradient: Tensor) -> None:
        self.broken = ~torch.isfinite(gradient[0]).all(-1)


class PolicyModel(nn.Module):
    """A causal language model that answers with log-probabilities of targets, never with logits.

    Always in evaluation mode (no dropout), so that the same tokens give the same bits with and
    without gradient. With `mixed_precision` the backbone multiplies matrices in bfloat16 whatever
    the precision of its weights.
    """

    def __init__(self, model: PreTrainedModel, mixed_precision: bool = False) -> None:
        super().__init__()
        output: Any = model.get_output_embeddings()
        if not isinstance(output, nn.Linear) or model.base_model is model:
            raise ValueError(
                f"{type(model).__name__} is not a causal language model with a linear output layer"
            )
        _check_output(model.config)
        self.model: Any = model
        self.model.set_output_embeddings(LogProbHead.replacing(output))
        self.mixed_precision = mixed_precision
        pack(model.base_model)
        self.watch = TokenWatch(model.base_model)
        self.eval()

    def forward(
        self, batch: TokenBatch, temperature: float, chunk: int, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities [targets] at `temperature`, and entropies [targets] if asked, in
        float32.
        """
        device = batch.input_ids.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.mixed_precision):
            states = _states(self.model.base_model, batch)
        return self.model.get_output_embeddings()(
            states, batch.targets, temperature, chunk, entropy
        )


def _check_output(config: Any) -> None:
    """Refuse models that change their logits after the output layer: `LogProbHead` does not.

    Raises:
        ValueError: names the setting.
    """
    neutral = {"final_logit_softcapping": None, "logit_scale": 1.0, "logits_scaling": 1.0}
    for name, setting in neutral.items():
        if getattr(config, name, setting) != setting:
            raise ValueError(
                f"a model of type {config.model_type} with {name} {getattr(config, name)} is not "
                "supported: its log-probabilities would come out wrong; choose a model whose "
                "logits are those of its output layer"
            )


class CriticModel(nn.Module):
    """A language model's backbone of its own with a linear head: the value of the state before each
    target.

    The head starts at zero, so that the first values are the mean reward's neutral guess and not
    noise.
    """

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = backbone
        embedding: Any = backbone.get_input_embeddings().weight
        self.value_head = nn.Linear(
            embedding.shape[1], 1, dtype=embedding.dtype, device=embedding.device
        )
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        pack(backbone)
        self.watch = TokenWatch(backbone)
        self.eval()

    def forward(self, batch: TokenBatch) -> Tensor:
        """Values [targets] in float32."""
        return self.value_head(_states(self.backbone, batch))[:, 0].float()


def _states(backbone: nn.Module, batch: TokenBatch) -> Tensor:
    """Final hidden states [targets, hidden_size] that predict the targets."""
    found = backbone(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        cu_seq_lens_q=batch.bounds,
        max_length_q=batch.longest,
        use_cache=False,
    )
    return found.last_hidden_state[0, batch.index]


def create_llama(
    config: ModelConfig, tokenizer: PreTrainedTokenizerBase, seed: int
) -> LlamaForCausalLM:
    """A small Llama with random float32 weights and untied embeddings for a tokenizer of ours.

    Raises:
        ValueError: hidden_size is not a multiple of twice the number of heads.
    """
    if config.hidden_size % (2 * config.heads):
        raise ValueError(
            f"hidden_size {config.hidden_size} is not a multiple of twice the {config.heads} heads"
        )
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=config.max_position_embeddings,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=tokenizer.get_vocab()[EOS],
            pad_token_id=tokenizer.get_vocab()[PAD],
        )
    )


def load_policy(
    folder: Path,
    dtype: torch.dtype,
    mixed_precision: bool = False,
    checkpointing: bool = False,
    lora: LoRAConfig | None = None,
    seed: int = 0,
) -> PolicyModel:
    """The policy, or its frozen copy as reference, from a Hugging Face folder.

    Args:
        folder: of the model.
        dtype: of the weights.
        mixed_precision: see `PolicyModel`.
        checkpointing: see `checkpoint_gradients`.
        lora: adapters to train instead of the weights; None, or rank 0, trains the weights.
        seed: of the adapters.
    """
    policy = PolicyModel(_load(folder, dtype), mixed_precision)
    _prepare(policy.model.base_model, policy, checkpointing, lora, seed)
    return policy


def load_critic(
    folder: Path,
    dtype: torch.dtype,
    layers: int | None = None,
    checkpointing: bool = False,
    lora: LoRAConfig | None = None,
    seed: int = 0,
) -> CriticModel:
    """A critic whose backbone starts as the policy's, or as its first `layers` blocks; the rest as
    for `load_policy`.

    Raises:
        ValueError: the policy has fewer blocks.
    """
    backbone: Any = _load(folder, dtype).base_model
    if layers is not None:
        blocks = backbone.config.num_hidden_layers
        if layers > blocks:
            raise ValueError(f"the critic cannot have {layers} layers, the policy has {blocks}")
        backbone.layers = backbone.layers[:layers]
        backbone.config.num_hidden_layers = layers
    critic = CriticModel(backbone)
    _prepare(backbone, critic, checkpointing, lora, seed)
    return critic


def _prepare(
    backbone: Any, model: nn.Module, checkpointing: bool, lora: LoRAConfig | None, seed: int
) -> None:
    if lora is not None and lora.rank:
        trained = [p for name, p in model.named_parameters() if name.startswith("value_head.")]
        model.requires_grad_(False)
        add_adapters(backbone, lora, seed)
        for parameter in trained:
            parameter.requires_grad_(True)
        model.eval()
    if checkpointing:
        checkpoint_gradients(backbone)


def checkpoint_gradients(backbone: Any) -> None:
    """Keep only the inputs of the blocks for the backward pass and compute the rest again.

    Only the blocks themselves are told that they train: what is inside them stays in evaluation
    mode, without dropout.

    Raises:
        ValueError: the model has no blocks that can do so.
    """
    backbone.gradient_checkpointing_enable({"use_reentrant": False})
    blocks = [m for m in backbone.modules() if isinstance(m, GradientCheckpointingLayer)]
    if not blocks:
        raise ValueError(f"{type(backbone).__name__} cannot checkpoint gradients")
    for block in blocks:
        block.training = True


def load_tokenizer(folder: Path, model: Any) -> PreTrainedTokenizerBase:
    """The tokenizer beside a model.

    Raises:
        ValueError: it has more tokens than the model has embeddings, or no end of sequence.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ValueError(
            f"{folder}: the tokenizer does not fit the model: it has {len(tokenizer)} tokens, "
            f"the model {rows} embeddings; use the tokenizer that the model was trained with"
        )
    if tokenizer.eos_token_id is None:
        raise ValueError(f"{folder}: the tokenizer names no eos_token, so no response can end")
    return tokenizer


def _load(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"no model in {folder}: it has no config.json")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)


def write_pretrained(
    folder: Path,
    model: PreTrainedModel,
    weights: dict[str, Tensor],
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write an ordinary Hugging Face folder atomically: under a temporary name beside it, then
    renamed.

    Args:
        folder: replaced if it exists.
        model: gives the configuration; its own weights may be partitioned.
        weights: full weights by Hugging Face name.
        tokenizer: saved beside the weights.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        fresh, old = Path(temporary) / "fresh", Path(temporary) / "old"
        model.save_pretrained(fresh, state_dict=weights)
        tokenizer.save_pretrained(fresh)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
