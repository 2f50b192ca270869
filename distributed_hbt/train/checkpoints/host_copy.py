"""A checkpoint's state in the memory of the host, where later steps do not touch it."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class HostCopy:
    """Copies of states as they are now. `wait` has to be called before they are read.

    What is shared in a state, as views of one buffer, is shared in its copy, so that the same is written.
    """

    def __init__(self) -> None:
        # With the sources, whose addresses would otherwise be given to others.
        self._storages: dict[tuple[torch.device, int], tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self._on_gpu = False

    def of(self, state: Any) -> Any:
        """A copy of nested dicts, lists and tuples with tensors and whatever else in them."""
        if isinstance(state, Tensor):
            return self._tensor(state)
        if type(state) is tuple:
            return tuple(map(self.of, state))
        if isinstance(state, tuple) and hasattr(state, "_fields"):
            return type(state)(*map(self.of, state))
        if isinstance(state, list):
            return [self.of(item) for item in state]
        if isinstance(state, dict):
            copied = copy.copy(state)  # keeps its class, as OrderedDict
            for key, value in state.items():
                copied[key] = self.of(value)
            return copied
        return copy.deepcopy(state)

    def wait(self) -> None:
        """Until all is copied."""
        if self._on_gpu:
            torch.cuda.synchronize()
        self._storages.clear()

    def _tensor(self, tensor: Tensor) -> Tensor:
        with torch.no_grad():
            storage = self._storage(tensor.untyped_storage())
            made = torch.empty(0, dtype=tensor.dtype).set_(
                storage, tensor.storage_offset(), tensor.size(), tensor.stride()
            )
        if isinstance(tensor, nn.Parameter):
            return nn.Parameter(made, requires_grad=tensor.requires_grad)
        return made.requires_grad_(tensor.requires_grad) if tensor.is_leaf else made

    def _storage(self, source: torch.UntypedStorage) -> torch.UntypedStorage:
        key = (source.device, source.data_ptr())
        if key not in self._storages or not source.nbytes():
            on_gpu = source.device.type == "cuda"
            made = torch.empty(source.nbytes(), dtype=torch.uint8, pin_memory=on_gpu).untyped_storage()
            made.copy_(source, non_blocking=on_gpu)
            self._on_gpu = self._on_gpu or on_gpu
            self._storages[key] = (source, made)
        return self._storages[key][1]
