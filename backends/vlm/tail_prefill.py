"""Questions behind pictures whose keys a slot has already. Must not know requests, streams or sampling.

A tail is what a prompt has behind its last picture. Tails of several slots are padded on the right to the longest and
go through the layers as one flat row of tokens; each sees its own slot's keys up to itself. Nothing here waits for the
device: lengths are known on the host, and index tensors go up from pinned memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from backends.vlm.cache import SlotCache
from backends.vlm.family import upload
from backends.vlm.kernels import Kernels
from backends.vlm.text_layer import TextLayer, through

ALIGNED = 8


@dataclass(frozen=True, eq=False)
class _Tails:
    """Where the tokens of n tails go, padded to t tokens each; all on the device, int64.

    `ids`, `positions`, `slots` and `visible` (how many first positions of its slot a token sees) are (n, t), `rows`
    (n,) the slots, `last` (n,) the places of the last real tokens in n * t. No token sees more than `longest`.
    """

    ids: Tensor
    positions: Tensor
    slots: Tensor
    visible: Tensor
    rows: Tensor
    last: Tensor
    longest: int

    @classmethod
    def of(
        cls, rows: Sequence[int], tails: Sequence[Tensor], starts: Sequence[int], spare: int, device: torch.device
    ) -> _Tails:
        """Return the tails, padding written to the position `spare` of its own slot, where nobody reads."""
        lengths = torch.tensor([len(tail) for tail in tails])
        ids = nn.utils.rnn.pad_sequence(list(tails), batch_first=True)
        # kernels are compiled for pointers to whole numbers of 16 bytes, which every part of the table then is
        ids = nn.functional.pad(ids, (0, -ids.shape[1] % ALIGNED))
        place = torch.arange(ids.shape[1])
        real = place < lengths[:, None]
        positions = torch.where(real, torch.tensor(list(starts))[:, None] + place, spare)
        slots = torch.tensor(list(rows))[:, None].expand_as(ids)
        visible = torch.where(real, positions + 1, 1)
        last = torch.arange(len(tails)) * ids.shape[1] + lengths - 1
        longest = max(start + len(tail) for start, tail in zip(starts, tails, strict=True))
        table = upload(torch.stack((ids, positions, slots, visible)), device)
        few = upload(torch.stack((slots[:, 0], last)), device)
        return cls(table[0], table[1], table[2], table[3], few[0], few[1], longest)


class TailPrefill:
    """Calls the layers of `text_model` and `lm_head` on the tails of slots that hold their pictures."""

    def __init__(
        self, text_model: Any, lm_head: nn.Module, layers: Sequence[TextLayer], cache: SlotCache, kernels: Kernels
    ) -> None:
        self._model, self._lm_head, self._layers = text_model, lm_head, layers
        self._cache, self._kernels = cache, kernels

    def __call__(
        self, rows: Sequence[int], tails: Sequence[Tensor], starts: Sequence[int], cross_lengths: Tensor | None
    ) -> Tensor:
        """Return the logits (n, vocabulary) after each tail, whose keys are written from its start on.

        `tails` are int64 ids (tail,) on the host, `starts` the filled positions of the slots `rows`, `cross_lengths`
        (slots,) how many of the pictures' keys every slot has, None without cross-attention.
        """
        device = self._cache.keys[0].device
        plan = _Tails.of(rows, tails, starts, self._cache.capacity, device)
        x = self._model.embed_tokens(plan.ids)
        cos, sin = self._model.rotary_emb(x, plan.positions)
        turn = (cos.flatten(0, 1).contiguous(), sin.flatten(0, 1).contiguous())
        pictures = None if cross_lengths is None else cross_lengths[plan.rows][:, None].expand_as(plan.ids).contiguous()

        def attend(index: int, layer: TextLayer, normed: Tensor) -> Tensor:
            return self._attend(index, layer, normed, plan, turn, pictures)

        normed = through(self._layers, self._model.norm, self._kernels, x.flatten(0, 1), attend)
        logits: Tensor = self._lm_head(normed[plan.last])
        return logits

    def _attend(
        self,
        index: int,
        layer: TextLayer,
        normed: Tensor,
        plan: _Tails,
        turn: tuple[Tensor, Tensor],
        pictures: Tensor | None,
    ) -> Tensor:
        keys, values, kernels = self._cache.keys[index], self._cache.values[index], self._kernels
        visible, longest = plan.visible, plan.longest
        if layer.is_cross:
            if pictures is None:
                raise ValueError("a text model with cross-attention needs the lengths of the pictures' keys")
            query, visible, longest = layer.cross_query(normed, kernels), pictures, keys.shape[2]
        else:
            heads, positions, slots = layer.project(normed), plan.positions.flatten(), plan.slots.flatten()
            query = kernels.rotate_and_write(heads, turn, keys, values, positions, slots)
        by_tail = query.unflatten(0, plan.ids.shape)
        return kernels.attend_tails(by_tail, keys, values, plan.rows, visible, layer.scale, longest)
