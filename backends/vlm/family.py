"""What the engine asks of a model family. Must not know scheduling, slots or graphs.

A family knows how a prompt and pages become token ids and pixels, and how they are prefilled; how tokens are then
decoded is the engine's.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from backends.base import GenerationRequest
from backends.vlm.requests import Batch, Prepared

if TYPE_CHECKING:
    from transformers import Cache

END_OF_TURN = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>")
"""Tokens that end an answer in the chat formats of both families; a checkpoint's own list may lack some."""


class Family(Protocol):
    """A loaded model with its tokenizer and the rules of its input.

    `prepare` and `tail` may be called from any thread; `collate` and `prefill` from the thread that owns the device.
    """

    @property
    def name(self) -> str:
        """The model's name in logs and provenance."""
        ...

    @property
    def model(self) -> Any:
        """The whole model as transformers made it."""
        ...

    @property
    def tokenizer(self) -> Any:
        """The checkpoint's tokenizer."""
        ...

    @property
    def text_model(self) -> Any:
        """The decoder: a module with `embed_tokens`, `layers`, `norm` and `rotary_emb`."""
        ...

    @property
    def lm_head(self) -> nn.Module:
        """The output layer."""
        ...

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer."""
        ...

    @property
    def cross_tokens(self) -> int:
        """Cross-attention keys of one request at most; 0 for a family without cross-attention."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the model's first weights live."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The type the model computes in."""
        ...

    def split(self, request: GenerationRequest) -> tuple[GenerationRequest, ...]:
        """Return the requests that together show all images, each small enough for one prompt, in page order."""
        ...

    def prepare(self, request: GenerationRequest, max_tiles: int | None = None, image_scale: float = 1.0) -> Prepared:
        """Return the request as token ids and planned tiles; raise `ExtractionError` when it cannot fit.

        `max_tiles` bounds the tiles of a page, `image_scale` in (0, 1] shrinks pages first: what is asked of a request
        after the device ran out of memory.
        """
        ...

    def tail(self, request: GenerationRequest) -> Tensor:
        """Return the token ids (n,) of a request's whole prompt that stand behind its last picture.

        They may be asked in a slot that has the same pictures: the prompt's tokens are then those of `prepare`.
        """
        ...

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Return the group on the device: pages uploaded as bytes, tiled, resized and normalised there."""
        ...

    def prefill(self, batch: Batch, cache: Cache) -> Tensor:
        """Fill `cache` and return the logits (n, vocabulary) after each row's last real token.

        Never waits for the device, so that it can run on a stream of its own.
        """
        ...


def eos_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return every token id that ends an answer: the checkpoint's own and the chat formats' known ones."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    found = set(configured if isinstance(configured, list) else [configured]) | {tokenizer.eos_token_id}
    known = tokenizer.get_vocab()
    found |= {known[token] for token in END_OF_TURN if token in known}
    return tuple(sorted(token for token in found if token is not None))


def pad_right(rows: Sequence[Tensor], padding: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return token ids (n, longest) and lengths (n,), both int64 on the device."""
    lengths = torch.tensor([len(row) for row in rows])
    padded = nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=padding)
    return upload(padded, device), upload(lengths, device)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on the device, without waiting for the copy where memory can be pinned."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def last_logits(hidden: Tensor, lengths: Tensor, lm_head: nn.Module) -> Tensor:
    """Return the logits (n, vocabulary) of each row's last real token; `hidden` is (n, longest, width)."""
    rows = torch.arange(hidden.shape[0], device=hidden.device)
    logits: Tensor = lm_head(hidden[rows, lengths - 1])
    return logits


def cache_name(module: nn.Module) -> str:
    """Return the name under which a module takes its cache: transformers renamed it in 5.24."""
    return "cache" if "cache" in inspect.signature(type(module).forward).parameters else "past_key_values"
