"""What the families have in common: a loaded checkpoint and its parts. Must not know how prompts or pages are built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from backends.base import GenerationRequest
from backends.vlm.preprocess import PixelRule
from backends.vlm.prompting import ChatPrompt, behind_pictures
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

    def tail(self, request: GenerationRequest) -> Tensor:
        """Return the token ids (n,) that a request's prompt has behind its last picture."""
        return behind_pictures(self._text_ids(request), self.processor.image_token_id)

    def _text_ids(self, request: GenerationRequest) -> Tensor:
        """Return a request's prompt with one placeholder a picture."""
        return self.chat.token_ids(request.prompt, len(request.images))
