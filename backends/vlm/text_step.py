"""One decode step of a text model: a token a row in, logits out. Knows the layers of Qwen2 and Mllama text models.

The modules and weights are those of transformers; only the way through them is written out here, because one token a
row needs a tenth of the launches: projections of one input are one product, and norms, rotation, cache writes and
attention go through `Kernels`. Must not know requests, stop tokens or sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from backends.vlm.cache import SlotCache
from backends.vlm.kernels import HeadStates, Kernels
from backends.vlm.projections import Projections


class TextStep:
    """Calls the layers of `text_model` and `lm_head` on one token a row."""

    def __init__(self, text_model: Any, lm_head: nn.Module, cache: SlotCache, kernels: Kernels) -> None:
        self._model, self._lm_head, self._cache, self._kernels = text_model, lm_head, cache, kernels
        self._layers = [_Layer(layer, cache.shape.head_dim) for layer in text_model.layers]

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
        normed = kernels.norm(x, self._layers[0].block.input_layernorm)
        for index, layer in enumerate(self._layers):
            keys, values = self._cache.keys[index], self._cache.values[index]
            if layer.is_cross:
                update = self._cross(layer, normed, keys, values, cross_lengths)
            else:
                heads = layer.project(normed)
                query = kernels.rotate_and_write(heads, turn, keys, values, positions)
                mixed = kernels.attend(query, keys, values, lengths, layer.scale, longest)
                update = layer.attention.o_proj(mixed)
            normed, x = kernels.add_norm(x, update, layer.block.post_attention_layernorm)
            gate, up = layer.gate_and_up(normed)
            update = layer.block.mlp.down_proj(kernels.gate(gate, up, layer.block.mlp.act_fn))
            if layer.is_cross:
                update = layer.block.cross_attn_mlp_gate.tanh() * update
            following = (
                self._model.norm if index + 1 == len(self._layers) else self._layers[index + 1].block.input_layernorm
            )
            normed, x = kernels.add_norm(x, update, following)
        logits: Tensor = self._lm_head(normed)
        return logits

    def _cross(self, layer: _Layer, normed: Tensor, keys: Tensor, values: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is None:
            raise ValueError("a text model with cross-attention needs the lengths of the pictures' keys")
        attention = layer.attention
        query = attention.q_proj(normed).unflatten(-1, (-1, layer.head_dim))
        query = self._kernels.norm(query.flatten(0, 1), attention.q_norm).view_as(query)
        mixed = self._kernels.attend(query, keys, values, lengths, layer.scale, keys.shape[2])
        gated: Tensor = layer.block.cross_attn_attn_gate.tanh() * attention.o_proj(mixed)
        return gated


class _Layer:
    """A decoder layer with the projections of one input merged where they are plain matrices."""

    def __init__(self, block: Any, head_dim: int) -> None:
        self.block, self.head_dim = block, head_dim
        self.is_cross = hasattr(block, "cross_attn")
        self.attention = block.cross_attn if self.is_cross else block.self_attn
        self.scale = float(self.attention.scaling)
        attention = self.attention
        modules = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._heads = None if self.is_cross else Projections(modules)
        self._mlp = Projections((block.mlp.gate_proj, block.mlp.up_proj))

    def project(self, x: Tensor) -> HeadStates:
        """Return query, key and value of x (rows, width)."""
        assert self._heads is not None
        query, key, value = (part.unflatten(-1, (-1, self.head_dim)) for part in self._heads(x))
        return HeadStates(query, key, value)

    def gate_and_up(self, x: Tensor) -> Sequence[Tensor]:
        """Return the two halves of the gated unit, each (rows, intermediate)."""
        return self._mlp(x)
