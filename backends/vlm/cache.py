"""Keys and values of fixed slots. Knows layers, slots and positions; must not know requests, prompts or scheduling.

Every slot is a row of preallocated tensors and holds one document at its own length, from position 0 on without gaps
(prompts are padded on the right, and what follows a row's length is never read). A prefill writes straight into the
rows of free slots, so there is no scratch cache to allocate and copy; the rows of other slots are not touched, which is
what lets it run beside a decode step. The last position of a row is a spare: an idle slot of the decode step, which
has a fixed shape, writes there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass(frozen=True)
class CacheShape:
    """What a text model's cache holds: `cross_layers` are the indices whose keys are the picture's."""

    layers: int
    kv_heads: int
    head_dim: int
    cross_layers: frozenset[int] = frozenset()
    cross_tokens: int = 0

    @classmethod
    def of(cls, config: Any, cross_tokens: int) -> CacheShape:
        """Return the shape of a text configuration of transformers."""
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        cross = frozenset(getattr(config, "cross_attention_layers", None) or ())
        return cls(config.num_hidden_layers, config.num_key_value_heads, head_dim, cross, cross_tokens)

    def slot_bytes(self, length: int, dtype: torch.dtype) -> int:
        """Return the bytes of one slot's keys and values."""
        positions = (self.layers - len(self.cross_layers)) * length + len(self.cross_layers) * self.cross_tokens
        return 2 * positions * self.kv_heads * self.head_dim * dtype.itemsize


class SlotCache:
    """Keys and values of all layers, each (slots, kv_heads, positions, head_dim)."""

    def __init__(self, shape: CacheShape, slots: int, length: int, dtype: torch.dtype, device: torch.device) -> None:
        self.shape, self.slots, self.length = shape, slots, length
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        for layer in range(shape.layers):
            positions = shape.cross_tokens if layer in shape.cross_layers else length
            size = (slots, shape.kv_heads, positions, shape.head_dim)
            # zeros, not empty: an idle row is read at one position, and a NaN there would be slow on some kernels
            self.keys.append(torch.zeros(size, dtype=dtype, device=device))
            self.values.append(torch.zeros(size, dtype=dtype, device=device))

    @property
    def capacity(self) -> int:
        """Positions of a slot that may hold tokens, the spare one excluded."""
        return self.length - 1

    def prefill_into(self, rows: Tensor) -> Cache:
        """Return a cache for one forward pass whose n rows are the slots `rows` (n,) int64 on the device."""
        return PrefillCache(layers=[_PrefillLayer(k, v, rows) for k, v in zip(self.keys, self.values, strict=True)])


class PrefillCache(Cache):
    """A cache of whole prompts: every pass starts at position 0."""


class _PrefillLayer(CacheLayerMixin):
    """Writes a prompt's keys and values into slots and hands the fresh ones back for the pass's own attention."""

    is_sliding = False
    is_compileable = False

    def __init__(self, keys: Tensor, values: Tensor, rows: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._slots = (keys, values)
        self._rows = rows

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        for slots, fresh in zip(self._slots, (key_states, value_states), strict=True):
            slots.narrow(2, 0, fresh.shape[2]).index_copy_(0, self._rows, fresh.to(slots.dtype))
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return int(self._slots[0].shape[2])

    get_max_cache_shape = get_max_length  # its name before transformers 5.24
