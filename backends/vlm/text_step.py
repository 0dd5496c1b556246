"""One decode step of a text model: a token a row in, logits out. Must not know requests, stop tokens or sampling.

One token a row needs a tenth of the launches of transformers' own way: projections of one input are one product, and
norms, rotation, cache writes and attention go through `Kernels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from backends.vlm.cache import SlotCache
from backends.vlm.kernels import Kernels
from backends.vlm.text_layer import TextLayer, through


class TextStep:
    """Calls the layers of `text_model` and `lm_head` on one token a row."""

    def __init__(
        self, text_model: Any, lm_head: nn.Module, layers: Sequence[TextLayer], cache: SlotCache, kernels: Kernels
    ) -> None:
        self._model, self._lm_head, self._layers = text_model, lm_head, layers
        self._cache, self._kernels = cache, kernels

    def __call__(
        self, tokens: Tensor, positions: Tensor, lengths: Tensor, cross_lengths: Tensor | None, longest: int
    ) -> Tensor:
        """Return logits (rows, vocabulary) after `tokens` (rows,), whose keys and values are written at `positions`.

        `lengths` counts the filled positions, the new one included; none exceeds `longest`. All int64 (rows,).
        """
        kernels = self._kernels
        x = self._model.embed_tokens(tokens)
        cos, sin = self._model.rotary_emb(x[:, None], positions[:, None])
        turn = (cos[:, 0], sin[:, 0])

        def attend(index: int, layer: TextLayer, normed: Tensor) -> Tensor:
            keys, values = self._cache.keys[index], self._cache.values[index]
            if not layer.is_cross:
                query = kernels.rotate_and_write(layer.project(normed), turn, keys, values, positions)
                return kernels.attend(query, keys, values, lengths, layer.scale, longest)
            if cross_lengths is None:
                raise ValueError("a text model with cross-attention needs the lengths of the pictures' keys")
            query = layer.cross_query(normed, kernels)
            return kernels.attend(query, keys, values, cross_lengths, layer.scale, keys.shape[2])

        logits: Tensor = self._lm_head(through(self._layers, self._model.norm, kernels, x, attend))
        return logits
