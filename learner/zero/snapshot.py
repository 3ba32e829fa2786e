"""Copies of what a process changes later, in the host's memory."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


def on_host(value: Any) -> Any:
    """A copy of a state that no later change reaches; its tensors are in the host's memory.

    Tensors that share a storage share one in the copy, so that `torch.save` writes the same file.

    Args:
        value: tensors and other objects in dictionaries, lists and tuples.
    """
    return _Copier().copy(value)


class _Copier:
    """Copies one state."""

    def __init__(self) -> None:
        self._storages: dict[tuple[str, int], torch.UntypedStorage] = {}
        """By device and address."""
        self._copies: dict[int, Any] = {}
        """By the identity of the original, as `copy.deepcopy` keeps them."""

    def copy(self, value: Any) -> Any:
        if id(value) not in self._copies:
            self._copies[id(value)] = self._copy(value)
        return self._copies[id(value)]

    def _copy(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, dict):
            made: Any = copy.copy(value)  # of its type, with its attributes
            for key, each in value.items():
                made[key] = self.copy(each)
            return made
        if type(value) in (list, tuple):
            return type(value)(self.copy(each) for each in value)
        return copy.deepcopy(value, self._copies)

    def _tensor(self, tensor: Tensor) -> Tensor:
        made = torch.empty(0, dtype=tensor.dtype)
        storage = self._storage(tensor.untyped_storage())
        made.set_(storage, tensor.storage_offset(), tensor.shape, tensor.stride())
        if isinstance(tensor, nn.Parameter):
            made = nn.Parameter(made, tensor.requires_grad)
        else:
            made.requires_grad_(tensor.requires_grad)
        for name, value in vars(tensor).items():  # DeepSpeed's; they are written too
            setattr(made, name, self.copy(value))
        return made

    def _storage(self, storage: torch.UntypedStorage) -> torch.UntypedStorage:
        if not storage.nbytes():
            return torch.UntypedStorage(0)
        key = (str(storage.device), storage.data_ptr())
        if key not in self._storages:
            on_cpu = storage.device.type == "cpu"
            self._storages[key] = storage.clone() if on_cpu else storage.cpu()
        return self._storages[key]
