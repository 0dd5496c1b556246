"""Several matrices over one input as one product. Knows linear modules only.

One large product costs less than several small ones. The merged matrix and the modules' own weights share memory;
quantised matrices are left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Projections:
    """Linear modules that share an input."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modules = list(modules)
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None
        if _mergeable(modules):
            self._weight, self._bias = _merged(modules)
        self._sizes = [int(module.out_features) for module in modules]  # type: ignore[arg-type]

    @property
    def merged(self) -> bool:
        """Return whether the outputs are parts of one tensor."""
        return self._weight is not None

    def __call__(self, x: Tensor) -> Sequence[Tensor]:
        """Return the modules' outputs of x (..., width), parts of one tensor where they are merged."""
        if self._weight is None:
            return [module(x) for module in self._modules]
        parts: Sequence[Tensor] = nn.functional.linear(x, self._weight, self._bias).split(self._sizes, dim=-1)
        return parts


def _mergeable(modules: Sequence[nn.Module]) -> bool:
    plain = all(type(m) is nn.Linear and not hasattr(m, "_hf_hook") and m.weight.device.type != "meta" for m in modules)
    return plain and len({(m.weight.device, m.bias is None) for m in modules}) == 1


@torch.no_grad()
def _merged(modules: Sequence[Any]) -> tuple[Tensor, Tensor | None]:
    weights = [module.weight for module in modules]
    sizes = [int(weight.shape[0]) for weight in weights]
    whole = _already_one(weights)
    if whole is None:
        whole = torch.cat(weights)
        for module, part in zip(modules, whole.split(sizes), strict=True):
            module.weight.data = part  # frees the old matrix: the merged one is no second copy
    bias = None if modules[0].bias is None else torch.cat([module.bias for module in modules])
    return whole.detach(), bias


def _already_one(weights: Sequence[Tensor]) -> Tensor | None:
    """Return the matrix that these are consecutive rows of, if they are: merging again would copy it."""
    first, width = weights[0], weights[0].shape[1]
    following = first.data_ptr()
    for weight in weights:
        same = weight.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        if not same or not weight.is_contiguous() or weight.data_ptr() != following:
            return None
        following += weight.numel() * weight.element_size()
    rows = sum(int(weight.shape[0]) for weight in weights)
    return first.detach().as_strided((rows, width), (width, 1), first.storage_offset())
