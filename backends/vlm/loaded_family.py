"""What the families have in common: a loaded checkpoint and its parts. Must not know how prompts or pages are built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from backends.vlm.preprocess import PixelRule
from backends.vlm.prompting import ChatPrompt
from backends.vlm.tiling import TileLimits


@dataclass(frozen=True, eq=False)
class LoadedFamily:
    """A checkpoint in memory; the part of `Family` that is the same for all."""

    model: Any
    processor: Any
    limits: TileLimits
    name: str
    text_model: Any
    lm_head: nn.Module
    eos_ids: tuple[int, ...]
    rule: PixelRule
    chat: ChatPrompt

    @property
    def tokenizer(self) -> Any:
        """The checkpoint's tokenizer."""
        return self.processor.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the embeddings live."""
        device: torch.device = self.text_model.embed_tokens.weight.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The type the model computes in."""
        dtype: torch.dtype = self.text_model.embed_tokens.weight.dtype
        return dtype
