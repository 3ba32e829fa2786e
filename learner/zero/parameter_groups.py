"""Parameter groups of an optimizer: what decays, and what has a learning rate of its own."""

from typing import Any

from torch import nn

from learner.config import CriticOptimizerConfig, OptimizerConfig

VALUE_HEAD = "value_head."
"""Beginning of the names of the critic's head parameters."""


def parameter_groups(module: nn.Module, optimizer: OptimizerConfig) -> list[dict[str, Any]]:
    """The trainable parameters of a module, in groups as `torch.optim` takes them.

    Weight decay applies to the matrices of linear layers, and not to norms, biases and embeddings
    (an output layer tied to the embeddings included): these have few parameters or rows that most
    batches do not touch (as in GPT-3's training code; Loshchilov & Hutter, 2019, for the decay).

    Args:
        module: not yet partitioned.
        optimizer: gives the learning rates and the decay.

    Returns:
        Groups with `params`, `lr` and `weight_decay`; none is empty.
    """
    embeddings = {
        id(parameter)
        for layer in module.modules()
        if isinstance(layer, nn.Embedding)
        for parameter in layer.parameters(recurse=False)
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        lr = optimizer.lr
        if isinstance(optimizer, CriticOptimizerConfig) and name.startswith(VALUE_HEAD):
            lr = optimizer.head_lr
        decays = parameter.ndim > 1 and id(parameter) not in embeddings
        decay = optimizer.weight_decay if decays else 0.0
        groups.setdefault((lr, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": lr, "weight_decay": decay}
        for (lr, decay), parameters in groups.items()
    ]
