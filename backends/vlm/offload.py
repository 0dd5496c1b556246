"""Weights that stay with the host and are fetched for each product: the last resort for a small card. Knows modules.

Only matrices of the text model's layers are left behind, one by one, because the engine calls them one by one. Every
step then moves what is left behind over the bus: it works, and it is slow.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from router.errors import BackendUnavailableError


class HostLinear(nn.Module):
    """A linear layer whose weight lives in the host's pinned memory. `weight` is neither parameter nor buffer, so that
    moving the model leaves it where it is."""

    def __init__(self, linear: nn.Linear, pinned: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        held = linear.weight.detach()
        self.weight = held.pin_memory() if pinned else held
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return x (..., in) times the weight, (..., out)."""
        return nn.functional.linear(x, self.weight.to(x.device, non_blocking=True), self.bias)


def offload(model: Any, device: torch.device, budget_bytes: int) -> int:
    """Move a model from the host to the device, within `budget_bytes` there; return how many matrices stay behind.

    Raises `BackendUnavailableError` when even the rest does not fit.
    """
    matrices = [
        (module, name, child)
        for module in model.model.language_model.layers.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.Linear)
    ]
    held = sum(weight.nbytes for weight in model.parameters())
    room = budget_bytes - (held - sum(child.weight.nbytes for _, _, child in matrices))
    if room < 0:
        raise BackendUnavailableError(
            f"{device} has {budget_bytes / 1e9:.1f} GB for weights: too little even with all layers' on the host"
        )
    behind = 0
    for module, name, child in matrices:
        room -= child.weight.nbytes
        if room < 0:
            setattr(module, name, HostLinear(child, pinned=device.type == "cuda"))
            behind += 1
    model.to(device)
    return behind
