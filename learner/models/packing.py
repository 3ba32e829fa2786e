"""Attention over packed sequences: laid end to end in one row, causal, never across a boundary.

The packed row [1, tokens] needs no padding, and no mask of its size. The boundaries reach the
attention layers as keyword arguments of the model's forward, under transformers' names for them:
`cu_seq_lens_q`, `cu_seq_lens_k`, `max_length_q` and `max_length_k`; and where sequences share a
prompt, `shared_keys` are the places of the row that each of them attends to. The queries of a
sequence are then its last tokens.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from learner.errors import ModelError

_NAME = "packed"
_KERNEL_GROUPS = "enable_gqa" in inspect.signature(varlen_attn).parameters
"""Whether torch's kernel lets several query heads share keys: from 2.12 on."""
_LAYERS = {"full_attention", "sliding_attention"}
"""Supported kinds of layers."""
_WITHOUT_EFFECT = {
    "position_ids",  # already in query and key
    "sliding_window",  # `_window` gives it as the mask
    "use_cache",
    "output_attentions",
    "output_hidden_states",
}
"""Arguments of models to their attention that change nothing here."""


def pack(backbone: Any) -> None:
    """Make a backbone's attention work on packed rows, and only on those.

    Raises:
        ModelError: the model has layers that would mix sequences across a boundary.
    """
    config = backbone.config
    kinds = set(getattr(config, "layer_types", None) or ()) - _LAYERS
    if kinds or backbone._is_stateful or not backbone._supports_attention_backend:
        layers = f"layers of {', '.join(sorted(kinds))}" if kinds else "layers"
        raise ModelError(
            f"{type(backbone).__name__} cannot learn from packed sequences: it has {layers} that "
            "ignore their boundaries; choose a model whose layers all attend through transformers' "
            "attention interface"
        )
    backbone.set_attn_implementation(_NAME)


def _window(
    config: Any, local_size: int | None = None, use_vmap: bool = False, **_: Any
) -> int | None:
    """In place of a layer's mask: how many tokens it attends to, None for all before.

    No tensor of the size of a row squared is built.
    """
    if use_vmap:
        raise ModelError(
            f"a model of type {config.model_type} cannot learn from packed sequences: it has an "
            "attention mask of its own; choose another model"
        )
    return local_size


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: int | None,
    *,
    cu_seq_lens_q: Tensor,
    cu_seq_lens_k: Tensor,
    max_length_q: int,
    max_length_k: int,
    shared_keys: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool = True,
    **others: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sequence of a row.

    Under autocast a GPU computes in autocast's type, a CPU in float32: in bfloat16 its backward
    pass would take twice the time.

    Args:
        module: the attention layer.
        query: [1, heads, tokens, head_size].
        key: [1, key_value_heads, tokens, head_size].
        value: as `key`.
        attention_mask: from `_window`.
        cu_seq_lens_q: [sequences + 1] int32, where each sequence begins, and the end.
        cu_seq_lens_k: the same of the keys.
        max_length_q: most tokens of a sequence.
        max_length_k: most tokens that a sequence attends to.
        shared_keys: [key tokens] int64, places of the row, sequence by sequence; None if each
            attends to its own tokens.
        scaling: of the scores; None takes one over the root of head_size.
        dropout: must be 0.
        is_causal: must be True.
        others: further arguments of the layer.

    Returns:
        [1, tokens, heads, head_size], and no weights.

    Raises:
        ModelError: the layer needs something that is not supported.
    """
    unsupported = {
        name for name, setting in others.items() if setting is not None
    } - _WITHOUT_EFFECT
    if dropout:
        unsupported.add("dropout")
    if not is_causal or not getattr(module, "is_causal", True):
        unsupported.add("attention to later tokens")
    if unsupported:
        raise ModelError(
            f"{type(module).__name__} cannot attend within packed sequences: it needs "
            f"{', '.join(sorted(unsupported))}; choose another model"
        )
    device = query.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.float32 if device == "cpu" else torch.get_autocast_dtype(device)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if shared_keys is not None:
        key, value = (part.index_select(2, shared_keys) for part in (key, value))
    fused = device == "cuda" and query.dtype in (torch.bfloat16, torch.float16)
    with torch.autocast(device, enabled=False):
        if fused:
            bounds = (cu_seq_lens_q, cu_seq_lens_k, max_length_q, max_length_k)
            attended = by_kernel(query, key, value, *bounds, scaling, attention_mask)
        else:
            bounds = (cu_seq_lens_q, cu_seq_lens_k)
            attended = by_sequence(query, key, value, *bounds, scaling, attention_mask)
    return attended, None


def by_kernel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: Tensor,
    key_bounds: Tensor,
    longest: int,
    longest_keys: int,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """PyTorch's flash attention for variable lengths: CUDA, 16 bits. Arguments of `_attention`,
    the keys sequence by sequence. A causal kernel of fewer queries than keys takes them for the
    last tokens (flash attention from 2.1 on).
    """
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
    grouped: dict[str, Any] = {}
    if (copies := q.shape[1] // k.shape[1]) > 1:
        if _KERNEL_GROUPS:
            grouped["enable_gqa"] = True
        else:
            k, v = (part.repeat_interleave(copies, 1) for part in (k, v))
    attended: Any = varlen_attn(
        q, k, v, bounds, key_bounds, longest, longest_keys,
        scale=scaling, window_size=(-1 if window is None else window - 1, 0), **grouped,
    )  # fmt: skip
    return attended[None]


def by_sequence(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: Tensor,
    key_bounds: Tensor,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """One call per sequence. Arguments of `_attention`, the keys sequence by sequence.

    Behind a shared prompt a sequence has fewer queries than keys. That takes a mask [queries,
    keys], which every layer keeps for its backward pass, or queries of zero in the prompt's place,
    whose outputs are dropped: what is smaller is taken.
    """
    lengths, key_lengths = bounds.diff().tolist(), key_bounds.diff().tolist()
    grouped, width = query.shape[1] != key.shape[1], query.shape[1] * query.shape[3]
    # split and not slices: the backward pass of n slices would add up n whole rows.
    queries = query.split(lengths, 2)
    keys, values = (part.split(key_lengths, 2) for part in (key, value))
    attended = []
    for q, k, v in zip(queries, keys, values, strict=True):
        band, own, length = None, q.shape[2], k.shape[2]
        before = length - own
        if window is not None and length > window:
            band = torch.ones(own, length, dtype=torch.bool, device=q.device)
            band = band.tril(before).triu(before + 1 - window)
        elif before and own * length > 2 * before * width:
            q = functional.pad(q, (0, 0, before, 0))
        elif before:
            band = torch.ones(own, length, dtype=torch.bool, device=q.device).tril(before)
        output = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=band, is_causal=band is None, scale=scaling, enable_gqa=grouped
        )[:, :, q.shape[2] - own :]
        attended.append(output.transpose(1, 2))
    return torch.cat(attended, 1)


ALL_ATTENTION_FUNCTIONS.register(_NAME, _attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(_NAME, _window)
