"""Rotary positions (arXiv 2104.09864) computed wholly on the device. Knows a text model; must not know slots or graphs.

For the type `dynamic`, transformers compares the longest position of a call with what it has seen, on the host: a wait
for the device in every step, and forbidden while a step is captured. Up to `max_position_embeddings` that comparison
changes nothing, so its frequencies are kept as they were loaded, and longer slots are refused.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from router.errors import BackendError

FIXED_TYPES = ("default", "dynamic", "llama3")
"""Types whose frequencies are the same for all positions below `max_position_embeddings`."""


class FixedRotary(nn.Module):
    """Stands for the rotary module of a text model, with the frequencies and the scaling that it was loaded with."""

    def __init__(self, rotary: Any) -> None:
        super().__init__()
        self.attention_scaling = float(rotary.attention_scaling)
        # the buffer itself and not a copy: where a model is moved or its buffers are filled later, this one is too
        self.register_buffer("inv_freq", rotary.inv_freq, persistent=False)

    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine (..., head_dim) of int64 positions (...), computed in float32, in the type of `x`."""
        frequencies: Any = self.inv_freq
        angles = position_ids[..., None].float() * frequencies.to(device=x.device, dtype=torch.float)
        both = torch.cat((angles, angles), dim=-1)
        cos, sin = both.cos() * self.attention_scaling, both.sin() * self.attention_scaling
        return cos.to(x.dtype), sin.to(x.dtype)


def fix_rotary(text_model: Any, slot_tokens: int) -> None:
    """Give a text model positions that are computed on the device alone; may be called again.

    Raises `BackendError` where its rotary type is not known here, or where a slot has more positions than it knows.
    """
    rotary = text_model.rotary_emb
    is_fixed = isinstance(rotary, FixedRotary)
    kind = FIXED_TYPES[0] if is_fixed else getattr(rotary, "rope_type", None)
    check_positions(kind, text_model.config.max_position_embeddings, slot_tokens)
    if not is_fixed:
        text_model.rotary_emb = FixedRotary(rotary)


def check_positions(kind: object, known: int, slot_tokens: int) -> None:
    """Raise `BackendError` where a rotary type is not known, or slots have more positions than the `known` ones."""
    if slot_tokens > known:
        raise BackendError(
            f"slots of {slot_tokens} positions, the checkpoint knows {known}: set slot_tokens to {known}"
        )
    if kind not in FIXED_TYPES:
        raise BackendError(f"rotary positions of the type {kind!r} are not known; known are {', '.join(FIXED_TYPES)}")
