"""Policy, reference and critic: what they are and how they are loaded."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from learner.batch import TokenBatch
from learner.config import ModelConfig
from learner.logprobs import LogProbHead


class PolicyModel(nn.Module):
    """A causal language model that answers with log-probabilities of targets, never with logits.

    Always in evaluation mode (no dropout), so that the same tokens give the same bits with and without gradient.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        output = model.get_output_embeddings()
        if not isinstance(output, nn.Linear) or model.base_model is model:
            raise ValueError(
                f"{type(model).__name__} is not a causal language model with a linear output layer"
            )
        self.model = model
        self.model.set_output_embeddings(LogProbHead.replacing(output))
        self.autocast = False
        """Multiply the backbone's matrices in bfloat16 whatever the precision of its weights."""
        self.eval()

    def forward(
        self, batch: TokenBatch, temperature: float, chunk: int, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities [targets] at `temperature`, and entropies [targets] if asked, in float32."""
        with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=self.autocast):
            states = _states(self.model.base_model, batch)
        return self.model.get_output_embeddings()(
            states, batch.targets, temperature, chunk, entropy
        )


class CriticModel(nn.Module):
    """A language model's backbone of its own with a linear head: the value of the state before each target.

    The head starts at zero, so that the first values are the mean reward's neutral guess and not noise.
    """

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = backbone
        embedding = backbone.get_input_embeddings().weight
        self.value_head = nn.Linear(
            embedding.shape[1], 1, dtype=embedding.dtype, device=embedding.device
        )
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.eval()

    def forward(self, batch: TokenBatch) -> Tensor:
        """Values [targets] in float32."""
        return self.value_head(_states(self.backbone, batch))[:, 0].float()


def _states(backbone: nn.Module, batch: TokenBatch) -> Tensor:
    """Final hidden states [targets, hidden_size] that predict the targets."""
    hidden = backbone(input_ids=batch.input_ids, use_cache=False).last_hidden_state
    return hidden.flatten(0, 1)[batch.index]


def create_llama(
    config: ModelConfig, tokenizer: PreTrainedTokenizerBase, seed: int
) -> LlamaForCausalLM:
    """A small Llama with random float32 weights and untied embeddings for `tokenizer`.

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
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def load_policy(folder: Path, dtype: torch.dtype) -> PolicyModel:
    """The policy, or its frozen copy as reference, from a Hugging Face folder."""
    _check_folder(folder)
    return PolicyModel(
        AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
    )


def load_critic(folder: Path, dtype: torch.dtype) -> CriticModel:
    """A critic whose backbone starts as the policy's, from a Hugging Face folder."""
    _check_folder(folder)
    return CriticModel(AutoModel.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa"))


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"no model in {folder}: it has no config.json")


def write_pretrained(
    folder: Path,
    model: PreTrainedModel,
    weights: dict[str, Tensor],
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write an ordinary Hugging Face folder atomically: under a temporary name beside it, then renamed.

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
