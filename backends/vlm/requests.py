"""What passes between a model family and the engine. Must not know any model, queue or document.

A request is prepared on the CPU, a group of prepared requests is collated on the device, and the engine decodes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

FinishReason = Literal["stop", "length", "repetition", "cancelled", "deadline"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """One request ready for the device; nothing of it has been uploaded.

    `input_ids` is int64 of shape (prompt_tokens,), image tokens included. `pages` are uint8 pictures of shape
    (height, width, 3), RGB, in [0, 255], and `grids` their (columns, rows) of tiles. `tiles` counts all tiles that the
    vision tower sees, thumbnails included. `signals` say in numbers how the pages were shown (for provenance). The
    first `prefix_tokens` tokens are all up to the last picture's end: what other questions about it share.
    """

    input_ids: Tensor
    pages: tuple[Tensor, ...]
    grids: tuple[tuple[int, int], ...]
    tiles: int
    prompt_tokens: int
    signals: Mapping[str, float] = field(default_factory=dict)
    prefix_tokens: int = 0


@dataclass(frozen=True, eq=False)
class HeldSlot:
    """A slot that is kept after an answer, its first `prefix_tokens` positions filled with what questions share.

    Every answer gives one of its own, so that an old one never names what somebody else reads in that slot.
    """

    row: int
    prefix_tokens: int


@dataclass(frozen=True, eq=False)
class Batch:
    """A group on the device, padded on the right: causal attention needs no padding mask then.

    `inputs` are the family's own tensors by name, `input_ids` (n, longest) among them. `lengths` (n,) int64 counts
    each row's real tokens; `cross_lengths` (n,) int64 the filled prefix of its cross-attention keys, or None for a
    family without cross-attention.
    """

    inputs: Mapping[str, Tensor]
    lengths: Tensor
    cross_lengths: Tensor | None = None


@dataclass(frozen=True)
class Decoded:
    """What the engine made of one request; the four lists are aligned.

    `logprobs` are natural logarithms of the chosen tokens' probabilities (<= 0), `entropies` are in nats (>= 0),
    `margins` are differences of the two largest log-probabilities (>= 0). `held` is the slot, where it was to be kept:
    whoever has it follows it or releases it.
    """

    tokens: list[int]
    logprobs: list[float]
    entropies: list[float]
    margins: list[float]
    finish_reason: FinishReason
    held: HeldSlot | None = None
